/* deflate_negotiate.c - the negotiation half of deflate.h: Sec-WebSocket-Extensions (RFC 6455 §9.1)
 * as far as permessage-deflate needs it. Works on the caller's text only. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "net/deflate.h"
#include "net/http_text.h"

enum { WINDOW_MIN = 8, WINDOW_MAX = 15 };

static const char EXTENSION[] = "permessage-deflate";

/* One offer or answer. Bits are 0 where the parameter is absent. */
struct offer {
    bool acceptable; /* it is permessage-deflate, with nothing unknown, repeated or out of range */
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    bool has_client_max_window_bits; /* perhaps without a value */
    int server_max_window_bits;
    int client_max_window_bits;
};

/* The value of a parameter without quotes, as far as one can matter to us: longer ones are cut, and
 * then no number. */
struct value {
    bool present;
    char text[4];
    size_t len;
};

struct reader {
    const char *at;
    const char *end;
};

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t'))
        reader->at++;
}

/* Takes `c` and the blanks around it if it comes next. */
static bool take(struct reader *reader, char c)
{
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    skip_blanks(reader);
    return true;
}

static struct mw_span take_token(struct reader *reader)
{
    struct mw_span token = {reader->at, 0};
    while (reader->at < reader->end && mw_http_is_token_char(*reader->at))
        reader->at++;
    token.len = (size_t)(reader->at - token.at);
    return token;
}

static void add_char(struct value *value, char c)
{
    if (value->len < sizeof value->text)
        value->text[value->len++] = c;
}

/* What stands behind '='. A quoted string must hold a token (RFC 6455 §9.1). False when it is
 * neither. */
static bool take_value(struct reader *reader, struct value *value)
{
    value->present = true;
    bool quoted = reader->at < reader->end && *reader->at == '"';
    if (!quoted) {
        struct mw_span token = take_token(reader);
        for (size_t i = 0; i < token.len; i++)
            add_char(value, token.at[i]);
        return token.len > 0;
    }
    for (reader->at++; reader->at < reader->end; reader->at++) {
        char c = *reader->at;
        if (c == '"') {
            reader->at++;
            return value->len > 0;
        }
        if (c == '\\' && ++reader->at < reader->end)
            c = *reader->at;
        if (!mw_http_is_token_char(c))
            return false;
        add_char(value, c);
    }
    return false;
}

/* 8 to 15 without leading zeros (RFC 7692 §7.1.2), else 0. */
static int window_bits(const struct value *value)
{
    const char *text = value->text;
    int bits = 0;
    if (value->len == 1 && mw_http_is_digit(text[0]))
        bits = text[0] - '0';
    else if (value->len == 2 && text[0] == '1' && mw_http_is_digit(text[1]))
        bits = 10 + text[1] - '0';
    return bits >= WINDOW_MIN && bits <= WINDOW_MAX ? bits : 0;
}

static bool set_flag(bool *flag, const struct value *value)
{
    bool repeated = *flag;
    *flag = true;
    return !repeated && !value->present;
}

static bool set_parameter(struct offer *offer, struct mw_span name, const struct value *value)
{
    if (mw_span_is(name, "server_no_context_takeover"))
        return set_flag(&offer->server_no_context_takeover, value);
    if (mw_span_is(name, "client_no_context_takeover"))
        return set_flag(&offer->client_no_context_takeover, value);
    if (mw_span_is(name, "server_max_window_bits")) {
        bool repeated = offer->server_max_window_bits;
        offer->server_max_window_bits = window_bits(value);
        return !repeated && offer->server_max_window_bits;
    }
    if (mw_span_is(name, "client_max_window_bits")) {
        bool repeated = offer->has_client_max_window_bits;
        offer->has_client_max_window_bits = true;
        offer->client_max_window_bits = window_bits(value);
        return !repeated && (!value->present || offer->client_max_window_bits);
    }
    return false;
}

/* Reads one extension with its parameters; false when the text is no list of extensions at all. */
static bool read_offer(struct reader *reader, struct offer *offer)
{
    *offer = (struct offer){0};
    struct mw_span name = take_token(reader);
    if (!name.len)
        return false;
    offer->acceptable = mw_span_is(name, EXTENSION);
    while (take(reader, ';')) {
        struct value value = {0};
        struct mw_span parameter = take_token(reader);
        if (!parameter.len || (take(reader, '=') && !take_value(reader, &value)))
            return false;
        if (!set_parameter(offer, parameter, &value))
            offer->acceptable = false;
    }
    return true;
}

/* Reads the next extension of a list. 1: there is one, 0: the end, -1: malformed. Empty elements
 * are skipped. */
static int next_offer(struct reader *reader, struct offer *offer)
{
    skip_blanks(reader);
    while (take(reader, ','))
        ;
    if (reader->at == reader->end)
        return 0;
    if (!read_offer(reader, offer))
        return -1;
    skip_blanks(reader);
    return reader->at == reader->end || *reader->at == ',' ? 1 : -1;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* --- writing --- */

static void add_text(char header[MW_DEFLATE_HEADER_MAX], const char *text)
{
    size_t len = strlen(header);
    snprintf(header + len, MW_DEFLATE_HEADER_MAX - len, "; %s", text);
}

static void add_bits(char header[MW_DEFLATE_HEADER_MAX], const char *name, int bits)
{
    size_t len = strlen(header);
    snprintf(header + len, MW_DEFLATE_HEADER_MAX - len, "; %s=%d", name, bits);
}

/* --- both roles --- */

void mw_deflate_options_default(struct mw_deflate_options *options)
{
    *options = (struct mw_deflate_options){
        .enabled = true,
        .level = 3, /* measured on JSON: a tenth larger than level 6, in half its time */
        .memory = 8,
        .min_bytes = 256,
        .server_no_context_takeover = true,
        .client_no_context_takeover = true,
        .server_max_window_bits = WINDOW_MAX,
        .client_max_window_bits = WINDOW_MAX,
    };
}

/* What the server grants. A limit of the client's window may only be named when the client said it
 * knows the parameter (RFC 7692 §7.1.2.2); what the client hints at is confirmed, because it saves
 * memory. */
static void accept_offer(const struct mw_deflate_options *options, const struct offer *offer,
                         struct mw_deflate_params *params, char answer[MW_DEFLATE_HEADER_MAX])
{
    int server_bits = options->server_max_window_bits;
    int client_bits = WINDOW_MAX;
    if (offer->server_max_window_bits)
        server_bits = smaller(server_bits, offer->server_max_window_bits);
    if (offer->has_client_max_window_bits)
        client_bits = options->client_max_window_bits;
    if (offer->client_max_window_bits)
        client_bits = smaller(client_bits, offer->client_max_window_bits);
    *params = (struct mw_deflate_params){
        .enabled = true,
        .server_no_context_takeover = options->server_no_context_takeover || offer->server_no_context_takeover,
        .client_no_context_takeover = options->client_no_context_takeover || offer->client_no_context_takeover,
        .server_max_window_bits = (uint8_t)server_bits,
        .client_max_window_bits = (uint8_t)client_bits,
    };

    snprintf(answer, MW_DEFLATE_HEADER_MAX, "%s", EXTENSION);
    if (params->server_no_context_takeover)
        add_text(answer, "server_no_context_takeover");
    if (params->client_no_context_takeover)
        add_text(answer, "client_no_context_takeover");
    if (offer->server_max_window_bits || server_bits < WINDOW_MAX)
        add_bits(answer, "server_max_window_bits", server_bits);
    if (offer->client_max_window_bits || client_bits < WINDOW_MAX)
        add_bits(answer, "client_max_window_bits", client_bits);
}

bool mw_extensions_valid(const char *offers, size_t len)
{
    struct reader reader = {offers, offers + len};
    struct offer offer;
    int found;

    while ((found = next_offer(&reader, &offer)) > 0)
        ;
    return found == 0;
}

bool mw_deflate_negotiate(const struct mw_deflate_options *options, const char *offers, size_t len,
                          struct mw_deflate_params *params, char answer[MW_DEFLATE_HEADER_MAX])
{
    struct offer offer;
    struct offer chosen = {0};
    int found;
    *params = (struct mw_deflate_params){0};
    answer[0] = '\0';
    if (!options->enabled || !len)
        return false;
    struct reader reader = {offers, offers + len};
    while ((found = next_offer(&reader, &offer)) > 0) {
        if (offer.acceptable && !chosen.acceptable)
            chosen = offer;
    }
    if (found < 0 || !chosen.acceptable)
        return false;
    accept_offer(options, &chosen, params, answer);
    return true;
}

void mw_deflate_offer(const struct mw_deflate_options *options, char offer[MW_DEFLATE_HEADER_MAX])
{
    snprintf(offer, MW_DEFLATE_HEADER_MAX, "%s", EXTENSION);
    if (options->server_no_context_takeover)
        add_text(offer, "server_no_context_takeover");
    if (options->client_no_context_takeover)
        add_text(offer, "client_no_context_takeover");
    if (options->server_max_window_bits < WINDOW_MAX)
        add_bits(offer, "server_max_window_bits", options->server_max_window_bits);
    if (options->client_max_window_bits < WINDOW_MAX)
        add_bits(offer, "client_max_window_bits", options->client_max_window_bits);
    else
        add_text(offer, "client_max_window_bits");
}

bool mw_deflate_confirm(const struct mw_deflate_options *options, const char *answer, size_t len,
                        struct mw_deflate_params *params)
{
    struct offer granted;
    struct offer more;
    *params = (struct mw_deflate_params){0};
    if (!len)
        return true;
    struct reader reader = {answer, answer + len};
    if (!options->enabled || next_offer(&reader, &granted) != 1 || !granted.acceptable ||
        next_offer(&reader, &more) != 0)
        return false;

    int server_bits = granted.server_max_window_bits ? granted.server_max_window_bits : WINDOW_MAX;
    int client_bits = granted.client_max_window_bits ? granted.client_max_window_bits : WINDOW_MAX;
    if (options->server_no_context_takeover && !granted.server_no_context_takeover)
        return false;
    if (server_bits > options->server_max_window_bits)
        return false;
    if (granted.has_client_max_window_bits &&
        (!granted.client_max_window_bits || client_bits > options->client_max_window_bits))
        return false;
    *params = (struct mw_deflate_params){
        .enabled = true,
        .server_no_context_takeover = granted.server_no_context_takeover,
        .client_no_context_takeover = options->client_no_context_takeover || granted.client_no_context_takeover,
        .server_max_window_bits = (uint8_t)server_bits,
        .client_max_window_bits = (uint8_t)smaller(client_bits, options->client_max_window_bits),
    };
    return true;
}
