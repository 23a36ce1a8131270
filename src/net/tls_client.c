/* tls_client.c - see tls_client.h. */
/* SPDX-License-Identifier: MIT */
#include "net/tls_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static void openssl_reason(char *why, size_t size, const char *what)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;

    snprintf(why, size, "%s: %s", what, reason ? reason : "unknown TLS error");
    ERR_clear_error();
}

static bool is_address(const char *name)
{
    unsigned char address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* The certificate must be for the name we asked for (RFC 9110 §4.3.4). */
static bool expect_name(SSL *ssl, const char *name)
{
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1;
}

SSL *mw_tls_client_new(int fd, const struct mw_tls_client_options *options, char *why, size_t size)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    SSL_CTX *context;
    SSL *ssl = NULL;

    ERR_clear_error();
    context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        openssl_reason(why, size, "TLS can't be set up");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    /* Reading the authorities of the system takes a while, and as much memory as everything else here together. */
    if (options->ca ? SSL_CTX_load_verify_locations(context, options->ca, NULL) != 1
                    : options->verify && SSL_CTX_set_default_verify_paths(context) != 1) {
        snprintf(why, size, "the CA file %s can't be used", options->ca ? options->ca : "of the system");
        ERR_clear_error();
    } else if ((ssl = SSL_new(context)) == NULL || SSL_set_fd(ssl, fd) != 1 ||
               SSL_set_alpn_protos(ssl, alpn, sizeof alpn - 1) != 0 ||
               (!is_address(options->server_name) && SSL_set_tlsext_host_name(ssl, options->server_name) != 1) ||
               (options->verify && !expect_name(ssl, options->server_name))) {
        openssl_reason(why, size, "TLS can't be set up");
        SSL_free(ssl);
        ssl = NULL;
    } else {
        SSL_set_verify(ssl, options->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        SSL_set_connect_state(ssl);
    }
    SSL_CTX_free(context);
    return ssl;
}

enum mw_tls_step mw_tls_client_step(SSL *ssl, char *why, size_t size)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(ssl);
    if (result == 1)
        return MW_TLS_DONE;
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return MW_TLS_READ;
    case SSL_ERROR_WANT_WRITE:
        return MW_TLS_WRITE;
    case SSL_ERROR_SYSCALL:
        snprintf(why, size, "the TLS handshake failed: %s",
                 errno ? strerror(errno) : "the server closed the connection");
        ERR_clear_error();
        return MW_TLS_FAILED;
    default:
        break;
    }
    long verify = SSL_get_verify_result(ssl);
    if (verify != X509_V_OK) {
        snprintf(why, size, "the server's certificate is not accepted: %s", X509_verify_cert_error_string(verify));
        ERR_clear_error();
    } else {
        openssl_reason(why, size, "the TLS handshake failed");
    }
    return MW_TLS_FAILED;
}
