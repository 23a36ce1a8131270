/* tls_certificate.h - what a TLS server reads from files: pairs of certificate and key, and the authorities of its clients.
 * Owns nothing; what it hands out belongs to the caller. Says in words which file is wrong and why. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_TLS_CERTIFICATE_H
#define MW_NET_TLS_CERTIFICATE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Gives the context a certificate with its chain and the key, checked against each other. PEM files. False with a sentence in
 * `why`. Out of its time is no fault here: see mw_tls_warn_of_dates. */
bool mw_tls_pair_read(SSL_CTX *context, const char *cert, const char *key, char *why, size_t size);
/* One line in the log when the certificate is not valid now. */
void mw_tls_warn_of_dates(const SSL_CTX *context, const char *file);
/* Its first DNS name, or else its subject; and "2027-01-31 12:00:00 UTC". */
void mw_tls_certificate_title(const SSL_CTX *context, char *name, size_t name_size, char *until, size_t until_size);
/* Whether it is for this name of `len` bytes: of its DNS names, a `*` stands for one left-most label. */
bool mw_tls_certificate_is_for(const SSL_CTX *context, const char *name, size_t len, bool wildcards);

/* The authorities whose clients are welcome. */
struct mw_tls_trust {
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* told to clients, so that they choose a certificate */
    unsigned char digest[32];    /* another one when the authorities are others */
};

bool mw_tls_trust_read(struct mw_tls_trust *trust, const char *file, char *why, size_t size);
void mw_tls_trust_free(struct mw_tls_trust *trust);

/* Changes whenever a file is written to, or another one takes its name, or its link's place. */
struct mw_tls_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    time_t written_s;
    time_t changed_s;
    long written_ns;
    long changed_ns;
};

/* Takes the stamp of a file (all zero: there is none). True when it is another one than before. */
bool mw_tls_stamp_take(struct mw_tls_stamp *stamp, const char *file);

#endif
