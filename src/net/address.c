/* address.c - see address.h. */
/* SPDX-License-Identifier: MIT */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* As inet_ntop does it, without its detour through printf: each connection's address is written once. */
static void format_v4(const uint8_t bytes[4], char *text, size_t size)
{
    char out[INET_ADDRSTRLEN], *at = out;

    for (int i = 0; i < 4; i++) {
        if (i)
            *at++ = '.';
        if (bytes[i] >= 100)
            *at++ = (char)('0' + bytes[i] / 100);
        if (bytes[i] >= 10)
            *at++ = (char)('0' + bytes[i] / 10 % 10);
        *at++ = (char)('0' + bytes[i] % 10);
    }
    *at++ = '\0';
    size_t len = (size_t)(at - out);
    memcpy(text, out, len < size ? len : size);
    text[size - 1] = '\0';
}

void mw_address_format(const struct sockaddr_storage *address, char *text, size_t size, int *port)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    *port = 0;
    if (address->ss_family == AF_INET) {
        format_v4((const uint8_t *)&v4->sin_addr, text, size);
        *port = ntohs(v4->sin_port);
    } else if (address->ss_family == AF_INET6) {
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            format_v4(&v6->sin6_addr.s6_addr[12], text, size);
        else
            inet_ntop(AF_INET6, &v6->sin6_addr, text, (socklen_t)size);
        *port = ntohs(v6->sin6_port);
    } else {
        snprintf(text, size, "unix");
    }
}
