/* tls_certificate.c - see tls_certificate.h. */
/* SPDX-License-Identifier: MIT */
#include "net/tls_certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* OpenSSL would ask on the terminal, and everything would wait. */
static int no_passphrase(char *buffer, int size, int rwflag, void *asked)
{
    (void)buffer;
    (void)size;
    (void)rwflag;
    *(bool *)asked = true;
    return -1;
}

static const char *use_key(SSL_CTX *context, const char *key)
{
    bool asked = false;

    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(context, &asked);
    int ok = SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (ok == 1 && SSL_CTX_check_private_key(context) == 1)
        return NULL;
    if (asked)
        return "is protected by a passphrase, which nobody can be asked for";
    switch (ERR_GET_REASON(ERR_peek_last_error())) {
    case X509_R_KEY_VALUES_MISMATCH:
    case X509_R_KEY_TYPE_MISMATCH:
        return "does not belong to the certificate";
    default:
        return "is not a PEM private key";
    }
}

static const char *use_certificate(SSL_CTX *context, const char *cert)
{
    if (SSL_CTX_use_certificate_chain_file(context, cert) == 1)
        return NULL;
    switch (ERR_GET_REASON(ERR_peek_last_error())) {
    case SSL_R_CA_KEY_TOO_SMALL:
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_MD_TOO_WEAK:
        return "has a key or a signature that is too weak (OpenSSL's security level)";
    default:
        return "is not a PEM certificate";
    }
}

static bool fail(char *why, size_t size, const char *file, const char *what)
{
    snprintf(why, size, "tls: %s: %s", file, what);
    ERR_clear_error();
    return false;
}

bool mw_tls_pair_read(SSL_CTX *context, const char *cert, const char *key, char *why, size_t size)
{
    ERR_clear_error();
    if (access(cert, R_OK))
        return fail(why, size, cert, strerror(errno));
    if (access(key, R_OK))
        return fail(why, size, key, strerror(errno));
    const char *what = use_certificate(context, cert);
    if (what)
        return fail(why, size, cert, what);
    what = use_key(context, key);
    return what ? fail(why, size, key, what) : true;
}

static void format_time(const ASN1_TIME *time, char *text, size_t size)
{
    struct tm parts;

    if (!ASN1_TIME_to_tm(time, &parts) || !strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &parts))
        snprintf(text, size, "a time that can't be read");
}

void mw_tls_warn_of_dates(const SSL_CTX *context, const char *file)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    const ASN1_TIME *from = X509_get0_notBefore(certificate), *until = X509_get0_notAfter(certificate);
    char text[64];

    /* 0 is an error of OpenSSL's: a time that can't be read. */
    if (X509_cmp_time(until, NULL) <= 0) {
        format_time(until, text, sizeof text);
        mw_log(MW_LOG_WARNING, "tls: %s: the certificate has expired: it was valid until %s", file, text);
    } else if (X509_cmp_time(from, NULL) >= 0) {
        format_time(from, text, sizeof text);
        mw_log(MW_LOG_WARNING, "tls: %s: the certificate is not valid yet: it will be from %s", file, text);
    }
}

void mw_tls_certificate_title(const SSL_CTX *context, char *name, size_t name_size, char *until, size_t until_size)
{
    X509 *certificate = SSL_CTX_get0_certificate(context);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *each = sk_GENERAL_NAME_value(names, i);
        if (each->type != GEN_DNS)
            continue;
        snprintf(name, name_size, "%.*s", ASN1_STRING_length(each->d.dNSName),
                 (const char *)ASN1_STRING_get0_data(each->d.dNSName));
        found = true;
    }
    GENERAL_NAMES_free(names);
    if (!found)
        X509_NAME_oneline(X509_get_subject_name(certificate), name, (int)name_size);
    format_time(X509_get0_notAfter(certificate), until, until_size);
    ERR_clear_error();
}

bool mw_tls_certificate_is_for(const SSL_CTX *context, const char *name, size_t len, bool wildcards)
{
    unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

    if (!wildcards)
        flags |= X509_CHECK_FLAG_NO_WILDCARDS;
    int result = X509_check_host(SSL_CTX_get0_certificate(context), name, len, flags, NULL);
    ERR_clear_error();
    return result == 1;
}

/* ---- authorities ---- */

static bool add_authority(struct mw_tls_trust *trust, EVP_MD_CTX *digest, X509 *certificate)
{
    unsigned char each[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));

    if (!name || !sk_X509_NAME_push(trust->names, name)) {
        X509_NAME_free(name);
        return false;
    }
    return X509_STORE_add_cert(trust->store, certificate) == 1 &&
           X509_digest(certificate, EVP_sha256(), each, &len) == 1 && EVP_DigestUpdate(digest, each, len) == 1;
}

static bool add_authorities(struct mw_tls_trust *trust, BIO *file, int *count)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool ok = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    X509 *certificate;

    *count = 0;
    while (ok && (certificate = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
        ok = add_authority(trust, digest, certificate);
        X509_free(certificate);
        ++*count;
    }
    /* The end of the file looks like this too; anything else is a certificate that can't be read. */
    ok = ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE &&
         EVP_DigestFinal_ex(digest, trust->digest, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return ok;
}

bool mw_tls_trust_read(struct mw_tls_trust *trust, const char *file, char *why, size_t size)
{
    int count = 0;

    ERR_clear_error();
    BIO *bio = BIO_new_file(file, "r");
    if (!bio)
        return fail(why, size, file, strerror(errno));
    *trust = (struct mw_tls_trust){.store = X509_STORE_new(), .names = sk_X509_NAME_new_null()};
    bool ok = trust->store && trust->names && add_authorities(trust, bio, &count);
    BIO_free(bio);
    if (ok && count) {
        /* Whoever stands in the file is trusted, be it the root or one that the root has signed. */
        X509_STORE_set_flags(trust->store, X509_V_FLAG_PARTIAL_CHAIN);
        ERR_clear_error();
        return true;
    }
    mw_tls_trust_free(trust);
    return fail(why, size, file, count ? "holds a certificate that can't be read" : "holds no PEM certificate");
}

void mw_tls_trust_free(struct mw_tls_trust *trust)
{
    X509_STORE_free(trust->store);
    sk_X509_NAME_pop_free(trust->names, X509_NAME_free);
    *trust = (struct mw_tls_trust){0};
}

/* ---- changes ---- */

bool mw_tls_stamp_take(struct mw_tls_stamp *stamp, const char *file)
{
    struct mw_tls_stamp now;
    struct stat info;

    memset(&now, 0, sizeof now); /* compared as a whole */
    if (stat(file, &info) == 0) {
        now.device = info.st_dev;
        now.inode = info.st_ino;
        now.size = info.st_size;
        now.written_s = info.st_mtim.tv_sec;
        now.written_ns = info.st_mtim.tv_nsec;
        now.changed_s = info.st_ctim.tv_sec;
        now.changed_ns = info.st_ctim.tv_nsec;
    }
    bool differs = memcmp(stamp, &now, sizeof now) != 0;
    memcpy(stamp, &now, sizeof now);
    return differs;
}
