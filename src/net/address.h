/* address.h - socket addresses as people write them. Owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_ADDRESS_H
#define MW_NET_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

/* "192.0.2.1" or "2001:db8::1" and a port; "unix" and 0 for anything else. An IPv4 peer of a dual-stack listener
 * (::ffff:192.0.2.1) is shown in its plain form. */
void mw_address_format(const struct sockaddr_storage *address, char *text, size_t size, int *port);

#endif
