/*
 * Slices live in the public header, since channel classes speak in them too.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <roost/slice.h>

#endif
