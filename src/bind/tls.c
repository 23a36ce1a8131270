/* tls.c - see tls.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "bind/option.h"
#include "net/wire.h"

/* ---- options ---- */

/* Strings stay on the stack. */
static struct mw_tls_files read_files(lua_State *L, int index)
{
    struct mw_tls_files files = {.cert = mw_option_string(L, index, "cert"), .key = mw_option_string(L, index, "key")};

    if (!files.cert || !files.key)
        luaL_error(L, "option 'tls': { cert = file name, key = file name } expected");
    return files;
}

/* The list of pairs lives in a userdata, the strings on the stack. */
static void read_pairs(lua_State *L, int index, struct mw_tls_server_options *options)
{
    lua_Integer more = lua_getfield(L, index, "also") == LUA_TTABLE ? (lua_Integer)lua_rawlen(L, -1) : 0;
    int also = lua_gettop(L);
    struct mw_tls_files *pairs = lua_newuserdatauv(L, ((size_t)more + 1) * sizeof *pairs, 0);

    luaL_checkstack(L, 3 * (int)more + 8, "too many certificates");
    pairs[0] = read_files(L, index);
    for (lua_Integer i = 1; i <= more; i++) {
        lua_rawgeti(L, also, i);
        luaL_checktype(L, -1, LUA_TTABLE);
        pairs[i] = read_files(L, lua_gettop(L));
    }
    options->pairs = pairs;
    options->count = (size_t)more + 1;
}

static void read_clients(lua_State *L, int index, struct mw_tls_server_options *options)
{
    options->client_ca = mw_option_string(L, index, "client_ca");
    const char *who = mw_option_string(L, index, "client_certificates");
    if (who && !options->client_ca)
        luaL_error(L, "option 'client_certificates': needs 'client_ca'");
    if (options->client_ca)
        options->clients = who && strcmp(who, "optional") == 0 ? MW_TLS_CLIENTS_OPTIONAL : MW_TLS_CLIENTS_REQUIRED;
}

/* false is 0. */
static uint32_t read_reload(lua_State *L, int index)
{
    enum { RELOAD_MS = 5000 };
    bool off = lua_getfield(L, index, "reload") == LUA_TBOOLEAN && !lua_toboolean(L, -1);

    lua_pop(L, 1);
    return off ? 0 : mw_option_ms(L, index, "reload", RELOAD_MS);
}

bool mw_tls_listen(lua_State *L, int index, struct mw_server *server, char *why, size_t size)
{
    struct mw_tls_server_options options = {.min_version = TLS1_2_VERSION};

    if (lua_getfield(L, index, "tls") == LUA_TNIL || !lua_toboolean(L, -1))
        return true;
    luaL_checktype(L, -1, LUA_TTABLE);
    int tls = lua_gettop(L);
    read_pairs(L, tls, &options);
    read_clients(L, tls, &options);
    const char *version = mw_option_string(L, tls, "min_version");
    if (version && strcmp(version, "1.3") == 0)
        options.min_version = TLS1_3_VERSION;
    options.reload_ms = read_reload(L, tls);
    server->vhost = mw_wire_vhost_new(server->runtime->engine, &options, server->http.head_timeout_ms, why, size);
    return server->vhost != NULL;
}

/* ---- certificates of clients ---- */

/* What OpenSSL has made for the table: freed also when Lua runs out of memory. */
struct parts {
    X509 *certificate;
    GENERAL_NAMES *names;
    BIGNUM *serial;
    char *serial_text;
    BIO *text;
};

static void push_name(lua_State *L, BIO *text, const X509_NAME *name)
{
    char *at;

    (void)BIO_reset(text);
    /* RFC 2253, in UTF-8. */
    X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    long len = BIO_get_mem_data(text, &at);
    lua_pushlstring(L, len > 0 ? at : "", len > 0 ? (size_t)len : 0);
}

static void push_names(lua_State *L, const GENERAL_NAMES *names, int type)
{
    lua_Integer count = 0;

    lua_newtable(L);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *each = sk_GENERAL_NAME_value(names, i);
        if (each->type != type)
            continue;
        const char *at = (const char *)ASN1_STRING_get0_data(each->d.ia5);
        size_t len = (size_t)ASN1_STRING_length(each->d.ia5);
        /* A NUL is in no honest name, and has deceived many a comparison. */
        if (!len || memchr(at, '\0', len))
            continue;
        lua_pushlstring(L, at, len);
        lua_rawseti(L, -2, ++count);
    }
}

static void push_fingerprint(lua_State *L, const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE];
    unsigned len = 0;

    X509_digest(certificate, EVP_sha256(), digest, &len);
    for (unsigned i = 0; i < len; i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    lua_pushlstring(L, text, 2 * (size_t)len);
}

static int build_table(lua_State *L)
{
    const struct parts *parts = lua_touserdata(L, 1);
    struct tm until;

    lua_createtable(L, 0, 6);
    push_name(L, parts->text, X509_get_subject_name(parts->certificate));
    lua_setfield(L, -2, "subject");
    push_name(L, parts->text, X509_get_issuer_name(parts->certificate));
    lua_setfield(L, -2, "issuer");
    lua_pushstring(L, parts->serial_text);
    lua_setfield(L, -2, "serial");
    if (ASN1_TIME_to_tm(X509_get0_notAfter(parts->certificate), &until)) {
        lua_pushinteger(L, (lua_Integer)timegm(&until));
        lua_setfield(L, -2, "not_after");
    }
    push_fingerprint(L, parts->certificate);
    lua_setfield(L, -2, "fingerprint");
    lua_createtable(L, 0, 3);
    push_names(L, parts->names, GEN_DNS);
    lua_setfield(L, -2, "dns");
    push_names(L, parts->names, GEN_EMAIL);
    lua_setfield(L, -2, "email");
    push_names(L, parts->names, GEN_URI);
    lua_setfield(L, -2, "uri");
    lua_setfield(L, -2, "names");
    return 1;
}

/* Pushes a table, or an error; the status is lua_pcall's. */
static int push_certificate(lua_State *L, X509 *certificate)
{
    struct parts parts = {.certificate = certificate, .text = BIO_new(BIO_s_mem())};
    int status = LUA_ERRMEM;

    parts.names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    parts.serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    parts.serial_text = parts.serial ? BN_bn2hex(parts.serial) : NULL;
    if (parts.text && parts.serial_text) {
        lua_pushcfunction(L, build_table);
        lua_pushlightuserdata(L, &parts);
        status = lua_pcall(L, 1, 1, 0);
    }
    BIO_free(parts.text);
    OPENSSL_free(parts.serial_text);
    BN_free(parts.serial);
    GENERAL_NAMES_free(parts.names);
    ERR_clear_error();
    if (!parts.text || !parts.serial_text)
        lua_pushliteral(L, "not enough memory");
    return status;
}

void mw_tls_push_client(lua_State *L, const SSL *ssl)
{
    X509 *certificate = mw_tls_server_client(ssl);

    if (!certificate)
        lua_pushnil(L);
    else if (push_certificate(L, certificate) != LUA_OK)
        lua_error(L);
}

void mw_tls_add_certificate(luaL_Buffer *buffer, const X509 *certificate)
{
    int len = i2d_X509(certificate, NULL);
    size_t size = len > 0 ? (size_t)len : 0;
    unsigned char *at = (unsigned char *)luaL_prepbuffsize(buffer, size + 4);

    for (int i = 0; i < 4; i++)
        *at++ = (unsigned char)(size >> 8 * i);
    if (size)
        i2d_X509(certificate, &at);
    luaL_addsize(buffer, size + 4);
}

int mw_tls_parse_certificate(lua_State *L)
{
    size_t len;
    const unsigned char *der = (const unsigned char *)luaL_checklstring(L, 1, &len);
    X509 *certificate = d2i_X509(NULL, &der, (long)len);

    ERR_clear_error();
    if (!certificate)
        return luaL_error(L, "parse_certificate: this is not a certificate");
    int status = push_certificate(L, certificate);
    X509_free(certificate);
    return status == LUA_OK ? 1 : lua_error(L);
}
