/*
 * Randomness and ids.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stddef.h>

/* Fills from getrandom(2); does not fail (it dies where the system has no randomness). */
void id_random(void *, size_t n);

#define ID_LEN	22	/* 128 random bits in base64url */
/* A random id of ID_LEN characters and a NUL into out[ID_LEN + 1]; returns out. */
char *id_new(char *out);

#endif
