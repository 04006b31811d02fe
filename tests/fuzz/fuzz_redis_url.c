/*
 * URLs of Redis servers: what is understood, written down and read again is the same, but for the password.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "net/redis.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redis_url u, again;
	const char	*why = NULL;
	char		 in[2 * REDIS_URL_TEXT], text[REDIS_URL_TEXT];

	if (size >= sizeof(in))
		return 0;
	memcpy(in, data, size);
	in[size] = '\0';
	if (redis_url_parse(&u, in, &why) < 0) {
		assert(why != NULL);
		return 0;
	}
	assert(u.host[0] != '\0' && u.port != 0);
	redis_url_text(&u, text);
	/* A user is none without a password. */
	u.user[0] = u.password[0] = '\0';
	if (!u.is_unix && strchr(text, '@') != NULL)
		memmove(strstr(text, "//") + 2, strchr(text, '@') + 1, strlen(strchr(text, '@')));
	assert(redis_url_parse(&again, text, &why) == 0);
	assert(strcmp(again.host, u.host) == 0 && again.port == u.port && again.db == u.db && again.is_unix == u.is_unix);
	return 0;
}
