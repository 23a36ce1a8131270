/* deflate_negotiate_test.c - the negotiation half of net/deflate.h against RFC 7692 §5, §7.1 and
 * RFC 6455 §9.1. */
/* SPDX-License-Identifier: MIT */
#include "net/deflate.h"

#include "check.h"

/* Options and params in one line: server/client without takeover, window bits. */
struct terms {
    bool server_alone, client_alone;
    int server_bits, client_bits;
};

static struct mw_deflate_options options_of(struct terms terms)
{
    struct mw_deflate_options options;
    mw_deflate_options_default(&options);
    options.server_no_context_takeover = terms.server_alone;
    options.client_no_context_takeover = terms.client_alone;
    options.server_max_window_bits = terms.server_bits;
    options.client_max_window_bits = terms.client_bits;
    return options;
}

static bool params_are(const struct mw_deflate_params *params, struct terms terms)
{
    return params->enabled && params->server_no_context_takeover == terms.server_alone &&
           params->client_no_context_takeover == terms.client_alone &&
           params->server_max_window_bits == terms.server_bits && params->client_max_window_bits == terms.client_bits;
}

static const struct terms open = {false, false, 15, 15};
static const struct terms alone = {true, true, 15, 15};
static const struct terms narrow = {false, false, 11, 12};

#define PMD "permessage-deflate"

struct offer_row {
    const char *offers;
    const struct terms *options;
    const char *answer; /* NULL: nothing acceptable */
    struct terms terms;
};

static const struct offer_row offer_rows[] = {
    {PMD, &open, PMD, {false, false, 15, 15}},
    {PMD "; client_max_window_bits", &open, PMD, {false, false, 15, 15}}, /* what Chrome and Firefox send */
    {PMD "; client_max_window_bits",
     &alone,
     PMD "; server_no_context_takeover; client_no_context_takeover",
     {true, true, 15, 15}},
    {PMD, &alone, PMD "; server_no_context_takeover; client_no_context_takeover", {true, true, 15, 15}},
    {PMD "; server_no_context_takeover",
     &open,
     PMD "; server_no_context_takeover",
     {true, false, 15, 15}}, /* §7.1.1.1 */
    {PMD "; client_no_context_takeover",
     &open,
     PMD "; client_no_context_takeover",
     {false, true, 15, 15}}, /* §7.1.1.2 */
    {PMD "; server_max_window_bits=10",
     &open,
     PMD "; server_max_window_bits=10",
     {false, false, 10, 15}}, /* §7.1.2.1 */
    {PMD "; server_max_window_bits=15", &open, PMD "; server_max_window_bits=15", {false, false, 15, 15}},
    {PMD "; server_max_window_bits=8", &open, PMD "; server_max_window_bits=8", {false, false, 8, 15}},
    {PMD "; client_max_window_bits=10",
     &open,
     PMD "; client_max_window_bits=10",
     {false, false, 15, 10}}, /* §7.1.2.2 */
    {PMD "; client_max_window_bits=8", &open, PMD "; client_max_window_bits=8", {false, false, 15, 8}},
    {PMD, &narrow, PMD "; server_max_window_bits=11", {false, false, 11, 15}}, /* the client's may not be named */
    {PMD "; client_max_window_bits",
     &narrow,
     PMD "; server_max_window_bits=11; client_max_window_bits=12",
     {false, false, 11, 12}},
    {PMD "; client_max_window_bits=15; server_max_window_bits=15",
     &narrow,
     PMD "; server_max_window_bits=11; client_max_window_bits=12",
     {false, false, 11, 12}},
    {PMD "; client_max_window_bits=9; server_max_window_bits=9",
     &narrow,
     PMD "; server_max_window_bits=9; client_max_window_bits=9",
     {false, false, 9, 9}},
    {PMD "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; "
         "client_max_window_bits=13",
     &open,
     PMD "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; "
         "client_max_window_bits=13",
     {true, true, 12, 13}},
    /* the ways to write it (RFC 6455 §9.1) */
    {" \t" PMD "\t;client_max_window_bits = 10 ;server_max_window_bits= 11 ",
     &open,
     PMD "; server_max_window_bits=11; client_max_window_bits=10",
     {false, false, 11, 10}},
    {PMD "; server_max_window_bits=\"10\"", &open, PMD "; server_max_window_bits=10", {false, false, 10, 15}},
    {PMD "; server_max_window_bits=\"\\1\\0\"", &open, PMD "; server_max_window_bits=10", {false, false, 10, 15}},
    {", ," PMD ",", &open, PMD, {false, false, 15, 15}},
    /* the first acceptable one counts (§5) */
    {PMD "; server_max_window_bits=10, " PMD, &open, PMD "; server_max_window_bits=10", {false, false, 10, 15}},
    {PMD "; server_max_window_bits=16, " PMD, &open, PMD, {false, false, 15, 15}},
    {PMD "; unknown, " PMD "; client_no_context_takeover",
     &open,
     PMD "; client_no_context_takeover",
     {false, true, 15, 15}},
    {"x-webkit-deflate-frame, " PMD, &open, PMD, {false, false, 15, 15}},
    {"foo; a=1; b=\"x\"; a=2, " PMD, &open, PMD, {false, false, 15, 15}},
    {"foo; server_max_window_bits=99," PMD, &open, PMD, {false, false, 15, 15}},
    /* declined (§7.1: unknown, repeated, out of range) */
    {"", &open, NULL, {0}},
    {" ,, ", &open, NULL, {0}},
    {"permessage-bzip2", &open, NULL, {0}},
    {"permessage-deflate2", &open, NULL, {0}},
    {"permessage-deflat", &open, NULL, {0}},
    {PMD "; unknown", &open, NULL, {0}},
    {PMD "; unknown=1", &open, NULL, {0}},
    {PMD "; server_no_context_takeover; server_no_context_takeover", &open, NULL, {0}},
    {PMD "; client_no_context_takeover; client_no_context_takeover", &open, NULL, {0}},
    {PMD "; server_max_window_bits=10; server_max_window_bits=10", &open, NULL, {0}},
    {PMD "; client_max_window_bits; client_max_window_bits=10", &open, NULL, {0}},
    {PMD "; client_max_window_bits; client_max_window_bits", &open, NULL, {0}},
    {PMD "; server_no_context_takeover=1", &open, NULL, {0}},
    {PMD "; client_no_context_takeover=\"true\"", &open, NULL, {0}},
    {PMD "; server_max_window_bits", &open, NULL, {0}},
    {PMD "; server_max_window_bits=7", &open, NULL, {0}},
    {PMD "; server_max_window_bits=16", &open, NULL, {0}},
    {PMD "; server_max_window_bits=0", &open, NULL, {0}},
    {PMD "; server_max_window_bits=010", &open, NULL, {0}},
    {PMD "; server_max_window_bits=08", &open, NULL, {0}},
    {PMD "; server_max_window_bits=1x", &open, NULL, {0}},
    {PMD "; server_max_window_bits=-9", &open, NULL, {0}},
    {PMD "; server_max_window_bits=10000000000", &open, NULL, {0}},
    {PMD "; client_max_window_bits=7", &open, NULL, {0}},
    {PMD "; client_max_window_bits=16", &open, NULL, {0}},
    {PMD "; client_max_window_bits=x", &open, NULL, {0}},
    /* no list of extensions at all (RFC 6455 §9.1) */
    {PMD ";", &open, NULL, {0}},
    {PMD "; ;", &open, NULL, {0}},
    {"; " PMD, &open, NULL, {0}},
    {PMD "; =10", &open, NULL, {0}},
    {PMD "; server_max_window_bits=", &open, NULL, {0}},
    {PMD "; server_max_window_bits=\"10", &open, NULL, {0}},
    {PMD "; server_max_window_bits=\"10\\", &open, NULL, {0}},
    {PMD "; server_max_window_bits=\"\"", &open, NULL, {0}},
    {PMD "; server_max_window_bits=\"1 0\"", &open, NULL, {0}},
    {PMD "; server_max_window_bits=\"10\"0", &open, NULL, {0}},
    {PMD "; server_max_window_bits=1=0", &open, NULL, {0}},
    {PMD " x", &open, NULL, {0}},
    {PMD ", foo bar", &open, NULL, {0}},
    {PMD ", \xff", &open, NULL, {0}},
    {"=" PMD, &open, NULL, {0}},
};

static void test_offer(const struct offer_row *row)
{
    struct mw_deflate_options options = options_of(*row->options);
    struct mw_deflate_params params;
    char answer[MW_DEFLATE_HEADER_MAX];
    size_t len = strlen(row->offers);
    char *copy = check_copy(row->offers, len);
    check_test("%s: %s", row->answer ? "accepted" : "declined", row->offers);
    bool accepted = mw_deflate_negotiate(&options, copy, len, &params, answer);
    EXPECT(accepted == (row->answer != NULL));
    EXPECT(params.enabled == accepted);
    if (!EXPECT(strcmp(answer, row->answer ? row->answer : "") == 0))
        fprintf(stderr, "answer: %s\n", answer);
    if (row->answer)
        EXPECT(params_are(&params, row->terms));
    free(copy);
}

/* Every offer cut short at every byte must be read without going past it. */
static void test_cut_offers(void)
{
    check_test("offers and answers cut at every byte");
    for (size_t i = 0; i < sizeof offer_rows / sizeof offer_rows[0]; i++) {
        struct mw_deflate_options options = options_of(*offer_rows[i].options);
        struct mw_deflate_params params;
        char answer[MW_DEFLATE_HEADER_MAX];
        for (size_t len = 0; len <= strlen(offer_rows[i].offers); len++) {
            char *copy = check_copy(offer_rows[i].offers, len);
            EXPECT(mw_deflate_negotiate(&options, copy, len, &params, answer) == params.enabled);
            mw_deflate_confirm(&options, copy, len, &params);
            free(copy);
        }
    }
}

struct answer_row {
    const char *answer;
    const struct terms *options;
    bool good;
    struct terms terms; /* server_bits 0: no extension */
};

static const struct answer_row answer_rows[] = {
    {"", &open, true, {0}},
    {PMD, &open, true, {false, false, 15, 15}},
    {PMD "; server_no_context_takeover", &open, true, {true, false, 15, 15}}, /* not asked for, but allowed */
    {PMD "; client_no_context_takeover", &open, true, {false, true, 15, 15}},
    {PMD "; server_max_window_bits=10", &open, true, {false, false, 10, 15}},
    {PMD "; client_max_window_bits=10", &open, true, {false, false, 15, 10}},
    {PMD "; client_max_window_bits=8; server_max_window_bits=8", &open, true, {false, false, 8, 8}},
    {PMD "; server_no_context_takeover; client_no_context_takeover", &alone, true, {true, true, 15, 15}},
    {PMD "; server_no_context_takeover", &alone, true, {true, true, 15, 15}}, /* we keep our own promise anyway */
    {PMD "; server_max_window_bits=11; client_max_window_bits=12", &narrow, true, {false, false, 11, 12}},
    {PMD "; server_max_window_bits=9", &narrow, true, {false, false, 9, 12}},
    {PMD "; server_max_window_bits=\"11\"", &narrow, true, {false, false, 11, 12}},

    {PMD, &alone, false, {0}},  /* §7.1.1.1: must be confirmed */
    {PMD, &narrow, false, {0}}, /* §7.1.2.1: must be confirmed */
    {PMD "; server_max_window_bits=12", &narrow, false, {0}},
    {PMD "; server_max_window_bits=11; client_max_window_bits=13", &narrow, false, {0}},
    {PMD "; client_max_window_bits", &open, false, {0}}, /* §7.1.2.2: needs a value here */
    {PMD "; client_max_window_bits=16", &open, false, {0}},
    {PMD "; client_max_window_bits=7", &open, false, {0}},
    {PMD "; server_max_window_bits", &open, false, {0}},
    {PMD "; server_max_window_bits=7", &open, false, {0}},
    {PMD "; unknown", &open, false, {0}}, /* §7.1: fail the connection */
    {PMD "; server_no_context_takeover; server_no_context_takeover", &open, false, {0}},
    {PMD "; server_no_context_takeover=1", &open, false, {0}},
    {PMD ", " PMD, &open, false, {0}}, /* §5.1: one of each */
    {PMD ", foo", &open, false, {0}},
    {"foo", &open, false, {0}},
    {";", &open, false, {0}},
    {",", &open, false, {0}},
    {PMD ";", &open, false, {0}},
    {PMD "; server_max_window_bits=\"11", &open, false, {0}},
};

static void test_answer(const struct answer_row *row)
{
    struct mw_deflate_options options = options_of(*row->options);
    struct mw_deflate_params params;
    check_test("an answer %s: %s", row->good ? "taken" : "refused", row->answer);
    EXPECT(mw_deflate_confirm(&options, row->answer, strlen(row->answer), &params) == row->good);
    EXPECT(row->terms.server_bits ? params_are(&params, row->terms) : !params.enabled);
}

static void test_offers_written(void)
{
    static const struct {
        const struct terms *options;
        const char *offer;
    } written[] = {
        {&open, PMD "; client_max_window_bits"},
        {&alone, PMD "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"},
        {&narrow, PMD "; server_max_window_bits=11; client_max_window_bits=12"},
    };
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        struct mw_deflate_options options = options_of(*written[i].options);
        char offer[MW_DEFLATE_HEADER_MAX];
        check_test("offered: %s", written[i].offer);
        mw_deflate_offer(&options, offer);
        EXPECT(strcmp(offer, written[i].offer) == 0);
    }
}

/* Our client with our server, for all options of both. */
static void test_both_sides(void)
{
    check_test("our client and our server always agree");
    for (int mix = 0; mix < 4 * 4 * 49 * 49; mix++) {
        struct terms ours = {mix & 1, mix >> 1 & 1, 9 + (mix >> 4) % 7, 9 + (mix >> 4) / 7 % 7};
        struct terms theirs = {mix >> 2 & 1, mix >> 3 & 1, 9 + (mix >> 4) / 49 % 7, 9 + (mix >> 4) / 343 % 7};
        struct mw_deflate_options server = options_of(ours);
        struct mw_deflate_options client = options_of(theirs);
        struct mw_deflate_params at_server;
        struct mw_deflate_params at_client;
        char offer[MW_DEFLATE_HEADER_MAX];
        char answer[MW_DEFLATE_HEADER_MAX];
        mw_deflate_offer(&client, offer);
        EXPECT(mw_deflate_negotiate(&server, offer, strlen(offer), &at_server, answer));
        EXPECT(mw_deflate_confirm(&client, answer, strlen(answer), &at_client));
        EXPECT(at_server.server_no_context_takeover == at_client.server_no_context_takeover);
        EXPECT(at_server.client_no_context_takeover == at_client.client_no_context_takeover);
        EXPECT(at_server.server_max_window_bits == at_client.server_max_window_bits);
        EXPECT(at_server.client_max_window_bits == at_client.client_max_window_bits);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof offer_rows / sizeof offer_rows[0]; i++)
        test_offer(&offer_rows[i]);
    test_cut_offers();
    for (size_t i = 0; i < sizeof answer_rows / sizeof answer_rows[0]; i++)
        test_answer(&answer_rows[i]);
    test_offers_written();
    test_both_sides();

    check_test("nothing is agreed on when it is switched off");
    struct mw_deflate_options off = {.enabled = false};
    struct mw_deflate_params params;
    char answer[MW_DEFLATE_HEADER_MAX];
    EXPECT(!mw_deflate_negotiate(&off, PMD, strlen(PMD), &params, answer) && !params.enabled);
    EXPECT(!mw_deflate_confirm(&off, PMD, strlen(PMD), &params));
    EXPECT(mw_deflate_confirm(&off, NULL, 0, &params) && !params.enabled);
    EXPECT(!mw_deflate_negotiate(&off, NULL, 0, &params, answer));
    return check_done();
}
