/*
 * Buffers live in the public header, since channel classes compose text too.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <roost/buf.h>

#endif
