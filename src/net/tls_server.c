/* tls_server.c - see tls_server.h.
 * An SSL is made of the front context. The client's hello moves it to the context of a pair, before OpenSSL looks for a
 * session to resume: SSL_set_SSL_CTX takes certificate, chain, ciphers, authorities, ALPN and session id context along, but
 * neither versions, options, modes nor whether a client certificate is asked for. So those are the same in all contexts of a
 * listener, and the front is set up like the others. Tickets are sealed with keys of the front: they outlive a reload. A
 * session is resumed only with the pair and the authorities that it began with. */
/* SPDX-License-Identifier: MIT */
#include "net/tls_server.h"

#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/tls_certificate.h"
#include "net/tls_refusals.h"

enum { WHY_SIZE = 512 };

/* Forward secrecy and authenticated encryption; those of TLS 1.3 are all like that. */
static const char CIPHERS[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

struct pair {
    char *cert;
    char *key;
    struct mw_tls_stamp cert_stamp;
    struct mw_tls_stamp key_stamp;
    SSL_CTX *context;
};

struct mw_tls_server {
    uv_timer_t timer;
    uv_signal_t hangup;
    struct mw_engine *engine;
    SSL_CTX *front;
    struct pair *pairs;
    size_t count;
    char *client_ca;
    struct mw_tls_stamp ca_stamp;
    struct mw_tls_trust trust;
    enum mw_tls_clients clients;
    int min_version;
    unsigned open_handles;
    struct mw_tls_refusals refusals;
};

/* ---- clients ---- */

/* Of what OpenSSL has to tell only the alerts that end a handshake because of the client's certificate. */
static void on_info(const SSL *ssl, int where, int value)
{
    struct mw_tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (where != SSL_CB_WRITE_ALERT || value >> 8 != SSL3_AL_FATAL || SSL_is_init_finished(ssl) || !server)
        return;
    long verify = SSL_get_verify_result(ssl);
    if (verify != X509_V_OK)
        mw_tls_refusals_add(&server->refusals, ssl,
                            "the client certificate is not accepted: ", X509_verify_cert_error_string(verify));
    else if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        mw_tls_refusals_add(&server->refusals, ssl, "no client certificate was sent", "");
}

/* Where certificates are optional, one that is not accepted counts as none: mw_tls_server_client looks at the result. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

X509 *mw_tls_server_client(const SSL *ssl)
{
    if (!ssl || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE || SSL_get_verify_result(ssl) != X509_V_OK)
        return NULL;
    return SSL_get0_peer_certificate(ssl);
}

/* ---- contexts ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)arg;
    /* Who speaks none of our protocols is told so (RFC 7301 §3.2). */
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* The name was looked at when the hello came. libwebsockets' own callback would look among its virtual hosts. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

/* What is the same for all contexts of the listener. False when memory ran out. */
static bool set_up(const struct mw_tls_server *server, SSL_CTX *context)
{
    if (SSL_CTX_set_min_proto_version(context, server->min_version) != 1 ||
        SSL_CTX_set_cipher_list(context, CIPHERS) != 1)
        return false;
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    /* Only the chain that stands in the file is sent. */
    SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
    /* Sessions are kept by clients, as tickets, not here. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    SSL_CTX_set_tlsext_servername_callback(context, on_name);
    if (server->clients == MW_TLS_CLIENTS_OPTIONAL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, accept_any);
    } else if (server->clients == MW_TLS_CLIENTS_REQUIRED) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_info_callback(context, on_info);
    }
    return true;
}

/* Whom the context believes, and with it which sessions it resumes. */
static bool set_trust(const struct mw_tls_server *server, SSL_CTX *context, size_t index)
{
    unsigned char id[SSL_MAX_SID_CTX_LENGTH];

    memcpy(id, server->trust.digest, sizeof id);
    for (size_t i = 0; i < sizeof index; i++)
        id[i] ^= (unsigned char)(index >> 8 * i);
    if (SSL_CTX_set_session_id_context(context, id, sizeof id) != 1)
        return false;
    if (!server->trust.store)
        return true;
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(server->trust.names);
    if (!names)
        return false;
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set1_cert_store(context, server->trust.store);
    return true;
}

static void discard(SSL_CTX *context)
{
    if (!context)
        return;
    /* Connections may hold on to it for long. */
    SSL_CTX_set_app_data(context, NULL);
    SSL_CTX_free(context);
}

/* Gives a pair the context of what its files hold now, or leaves it as it was. */
static bool read_pair(struct mw_tls_server *server, struct pair *pair, char *why, size_t size)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    mw_tls_stamp_take(&pair->cert_stamp, pair->cert);
    mw_tls_stamp_take(&pair->key_stamp, pair->key);
    if (!context || !set_up(server, context) || !set_trust(server, context, (size_t)(pair - server->pairs))) {
        snprintf(why, size, "tls: not enough memory");
        SSL_CTX_free(context);
        return false;
    }
    if (!mw_tls_pair_read(context, pair->cert, pair->key, why, size)) {
        SSL_CTX_free(context);
        return false;
    }
    mw_tls_warn_of_dates(context, pair->cert);
    SSL_CTX_set_app_data(context, server);
    discard(pair->context);
    pair->context = context;
    return true;
}

static bool read_trust(struct mw_tls_server *server, char *why, size_t size)
{
    struct mw_tls_trust trust;
    bool ok = true;

    mw_tls_stamp_take(&server->ca_stamp, server->client_ca);
    if (!mw_tls_trust_read(&trust, server->client_ca, why, size))
        return false;
    mw_tls_trust_free(&server->trust);
    server->trust = trust;
    for (size_t i = 0; i < server->count; i++)
        if (server->pairs[i].context)
            ok = set_trust(server, server->pairs[i].context, i) && ok;
    if (!ok)
        snprintf(why, size, "tls: not enough memory");
    return ok;
}

/* ---- choosing ---- */

/* The host that a client's hello names (RFC 6066 §3), or NULL. */
static const char *named_host(SSL *ssl, size_t *len)
{
    const unsigned char *at;
    size_t size;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &at, &size) != 1 || size < 5)
        return NULL;
    *len = (size_t)at[3] << 8 | at[4];
    if (at[2] != TLSEXT_NAMETYPE_host_name || *len == 0 || *len > size - 5 || at[5] == '.')
        return NULL;
    return (const char *)at + 5;
}

static const struct pair *choose(const struct mw_tls_server *server, SSL *ssl)
{
    size_t len = 0;
    const char *name = server->count > 1 ? named_host(ssl, &len) : NULL;

    for (int wildcards = 0; name && wildcards < 2; wildcards++)
        for (size_t i = 0; i < server->count; i++)
            if (mw_tls_certificate_is_for(server->pairs[i].context, name, len, wildcards))
                return &server->pairs[i];
    return server->pairs;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    const struct mw_tls_server *server = arg;

    if (SSL_set_SSL_CTX(ssl, choose(server, ssl)->context))
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
}

bool mw_tls_server_attach(struct mw_tls_server *server, SSL_CTX *front)
{
    if (!set_up(server, front))
        return false;
    SSL_CTX_up_ref(front);
    server->front = front;
    SSL_CTX_set_client_hello_cb(front, on_hello, server);
    return true;
}

/* ---- reloading ---- */

static bool renew_pair(struct mw_tls_server *server, struct pair *pair, char *why, size_t size)
{
    char name[256], until[64];

    if (!read_pair(server, pair, why, size))
        return false;
    mw_tls_certificate_title(pair->context, name, sizeof name, until, sizeof until);
    mw_log(MW_LOG_INFO, "tls: %s: the certificate of %s is in use now, valid until %s", pair->cert, name, until);
    return true;
}

static bool renew_trust(struct mw_tls_server *server, char *why, size_t size)
{
    if (!read_trust(server, why, size))
        return false;
    mw_log(MW_LOG_INFO, "tls: %s: the authorities of clients are in use now", server->client_ca);
    return true;
}

static void complain(const char *why)
{
    mw_log(MW_LOG_WARNING, "%s; what was read before stays in use", why);
}

bool mw_tls_server_reload(struct mw_tls_server *server, char *why, size_t size)
{
    char another[WHY_SIZE];
    bool ok = !server->client_ca || renew_trust(server, why, size);

    for (size_t i = 0; i < server->count; i++) {
        if (ok)
            ok = renew_pair(server, &server->pairs[i], why, size);
        else if (!renew_pair(server, &server->pairs[i], another, sizeof another))
            complain(another);
    }
    return ok;
}

static void on_hangup(uv_signal_t *hangup, int number)
{
    char why[WHY_SIZE];

    (void)number;
    if (!mw_tls_server_reload(hangup->data, why, sizeof why))
        complain(why);
}

static bool has_changed(struct pair *pair)
{
    bool cert = mw_tls_stamp_take(&pair->cert_stamp, pair->cert);
    return mw_tls_stamp_take(&pair->key_stamp, pair->key) || cert;
}

/* A pair that is replaced one file after the other fails in between, and is read again when the second has come. */
static void on_timer(uv_timer_t *timer)
{
    struct mw_tls_server *server = timer->data;
    char why[WHY_SIZE];

    if (server->client_ca && mw_tls_stamp_take(&server->ca_stamp, server->client_ca) &&
        !renew_trust(server, why, sizeof why))
        complain(why);
    for (size_t i = 0; i < server->count; i++)
        if (has_changed(&server->pairs[i]) && !renew_pair(server, &server->pairs[i], why, sizeof why))
            complain(why);
}

/* ---- beginning and end ---- */

static void watch(struct mw_tls_server *server, uint32_t reload_ms)
{
    uv_timer_init(server->engine->loop, &server->timer);
    uv_signal_init(server->engine->loop, &server->hangup);
    server->open_handles = 2;
    server->timer.data = server->hangup.data = server;
    if (uv_signal_start(&server->hangup, on_hangup, SIGHUP))
        mw_log(MW_LOG_WARNING, "tls: SIGHUP can't be heard");
    if (reload_ms)
        uv_timer_start(&server->timer, on_timer, reload_ms, reload_ms);
    uv_unref((uv_handle_t *)&server->timer);
    uv_unref((uv_handle_t *)&server->hangup);
}

static void destroy(struct mw_tls_server *server)
{
    for (size_t i = 0; server->pairs && i < server->count; i++) {
        free(server->pairs[i].cert);
        free(server->pairs[i].key);
        discard(server->pairs[i].context);
    }
    mw_tls_trust_free(&server->trust);
    free(server->pairs);
    free(server->client_ca);
    free(server);
}

static bool copy_names(struct mw_tls_server *server, const struct mw_tls_server_options *options)
{
    server->count = options->count;
    server->pairs = calloc(options->count, sizeof *server->pairs);
    if (options->clients != MW_TLS_CLIENTS_ANY)
        server->client_ca = strdup(options->client_ca);
    if (!server->pairs || (options->clients != MW_TLS_CLIENTS_ANY && !server->client_ca))
        return false;
    for (size_t i = 0; i < options->count; i++) {
        server->pairs[i].cert = strdup(options->pairs[i].cert);
        server->pairs[i].key = strdup(options->pairs[i].key);
        if (!server->pairs[i].cert || !server->pairs[i].key)
            return false;
    }
    return true;
}

static bool read_all(struct mw_tls_server *server, char *why, size_t size)
{
    if (server->client_ca && !read_trust(server, why, size))
        return false;
    for (size_t i = 0; i < server->count; i++)
        if (!read_pair(server, &server->pairs[i], why, size))
            return false;
    return true;
}

struct mw_tls_server *mw_tls_server_new(struct mw_engine *engine, const struct mw_tls_server_options *options,
                                        char *why, size_t size)
{
    struct mw_tls_server *server = calloc(1, sizeof *server);

    if (server) {
        server->engine = engine;
        mw_tls_refusals_begin(&server->refusals, engine);
        server->clients = options->clients;
        server->min_version = options->min_version;
    }
    if (!server || !copy_names(server, options))
        snprintf(why, size, "tls: not enough memory");
    else if (read_all(server, why, size)) {
        watch(server, options->reload_ms);
        return server;
    }
    if (server)
        destroy(server);
    return NULL;
}

void mw_tls_server_stop(struct mw_tls_server *server)
{
    uv_timer_stop(&server->timer);
    uv_signal_stop(&server->hangup);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mw_tls_server *server = handle->data;

    if (--server->open_handles == 0)
        destroy(server);
}

void mw_tls_server_free(struct mw_tls_server *server)
{
    if (server->front) {
        SSL_CTX_set_client_hello_cb(server->front, NULL, NULL);
        SSL_CTX_free(server->front);
        server->front = NULL;
    }
    for (size_t i = 0; i < server->count; i++)
        SSL_CTX_set_app_data(server->pairs[i].context, NULL);
    mw_tls_refusals_end(&server->refusals);
    uv_close((uv_handle_t *)&server->timer, on_handle_closed);
    uv_close((uv_handle_t *)&server->hangup, on_handle_closed);
}
