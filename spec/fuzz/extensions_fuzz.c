/* extensions_fuzz.c - negotiating permessage-deflate. The first character chooses the options; the rest is a
 * Sec-WebSocket-Extensions value, taken as a client's offer and as a server's answer. What a server agrees to, the client
 * that offered it must confirm, with the same terms. */
/* SPDX-License-Identifier: MIT */
#include "net/deflate.h"

#include "fuzz.h"

static void check_params(const struct mw_deflate_params *params)
{
    REQUIRE(params->enabled);
    REQUIRE(params->server_max_window_bits >= 8 && params->server_max_window_bits <= 15);
    REQUIRE(params->client_max_window_bits >= 8 && params->client_max_window_bits <= 15);
}

static void choose(struct mw_deflate_options *options, uint8_t choice)
{
    mw_deflate_options_default(options);
    options->enabled = true;
    options->server_no_context_takeover = choice & 1;
    options->client_no_context_takeover = choice & 2;
    options->server_max_window_bits = choice & 4 ? 10 : 15;
    options->client_max_window_bits = choice & 8 ? 9 : 15;
}

static bool same(const struct mw_deflate_params *a, const struct mw_deflate_params *b)
{
    return a->server_no_context_takeover == b->server_no_context_takeover &&
           a->client_no_context_takeover == b->client_no_context_takeover &&
           a->server_max_window_bits == b->server_max_window_bits &&
           a->client_max_window_bits == b->client_max_window_bits;
}

/* Our own client and server, with any options, always agree on something. */
static void agree(const struct mw_deflate_options *client, const struct mw_deflate_options *server)
{
    char offer[MW_DEFLATE_HEADER_MAX], answer[MW_DEFLATE_HEADER_MAX];
    struct mw_deflate_params of_server = {0}, of_client = {0};

    mw_deflate_offer(client, offer);
    REQUIRE(mw_extensions_valid(offer, strlen(offer)));
    REQUIRE(mw_deflate_negotiate(server, offer, strlen(offer), &of_server, answer));
    REQUIRE(mw_deflate_confirm(client, answer, strlen(answer), &of_client));
    REQUIRE(same(&of_server, &of_client));
}

void fuzz_one(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {data, len};
    uint8_t choice = fuzz_take(&input);
    struct mw_deflate_options options, others;
    struct mw_deflate_params params = {0};
    char answer[MW_DEFLATE_HEADER_MAX];
    char *copy = malloc(input.len ? input.len : 1);

    REQUIRE(copy);
    if (input.len)
        memcpy(copy, input.data, input.len);
    choose(&options, choice);
    choose(&others, choice >> 4);
    agree(&options, &others);
    bool valid = mw_extensions_valid(copy, input.len);
    if (mw_deflate_negotiate(&options, copy, input.len, &params, answer)) {
        check_params(&params);
        REQUIRE(valid && strlen(answer) < sizeof answer && mw_extensions_valid(answer, strlen(answer)));
        REQUIRE(params.server_max_window_bits <= options.server_max_window_bits);
        REQUIRE(params.server_no_context_takeover || !options.server_no_context_takeover);
    }
    params = (struct mw_deflate_params){0};
    if (mw_deflate_confirm(&options, copy, input.len, &params) && params.enabled) {
        check_params(&params);
        REQUIRE(valid && input.len);
        REQUIRE(params.client_max_window_bits <= options.client_max_window_bits);
        REQUIRE(params.server_max_window_bits <= options.server_max_window_bits);
    }
    free(copy);
}
