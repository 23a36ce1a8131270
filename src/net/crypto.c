/* crypto.c - see crypto.h. */
/* SPDX-License-Identifier: MIT */
#include "net/crypto.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "net/handshake.h"

/* Not a global by choice: OpenSSL hands its allocator no context. Written before there are threads that use OpenSSL. */
static bool is_ready;

static void *told(void *block, size_t size)
{
    if (block || !size)
        return block;
    mw_log(MW_LOG_ERROR, "not enough memory for OpenSSL");
    if (!is_ready)
        _exit(1);
    return NULL;
}

static void *told_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return told(malloc(size), size);
}

static void *told_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return told(realloc(block, size), size);
}

static void plain_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    free(block);
}

bool mw_crypto_prepare(void)
{
    char key[MW_WS_KEY_LEN + 1], accept[MW_WS_ACCEPT_LEN + 1];

    CRYPTO_set_mem_functions(told_malloc, told_realloc, plain_free);
    is_ready =
        OPENSSL_init_ssl(0, NULL) == 1 && mw_handshake_key(key) && mw_handshake_accept(key, MW_WS_KEY_LEN, accept);
    return is_ready;
}
