/*
 * Any bytes as a configuration file. What is taken can be dumped; and whatever it was, the next file is read as if
 * nothing had been.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "config/config_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_and_dump(struct slice text)
{
	struct config_set *set = config_set_new();
	autofree char	  *why = NULL, *dumped = NULL;
	size_t		   n;
	FILE		  *out;
	int		   r;

	r = config_text_read(set, "FILE", text, &why);
	assert((r == 0) == (why == NULL));
	if (r == 0) {
		r = config_check(set, &why);
		assert((r == 0) == (why == NULL));
		out = open_memstream(&dumped, &n);
		config_dump(set, out);
		fclose(out);
	}
	config_free(set);
}

static void
read_known(void)
{
	struct config_set *set = config_set_new();
	autofree char	  *why = NULL;

	assert(config_text_read(set, "FILE", SLICE("# x\nlimits { max_topic = 7 }"), &why) == 0);
	assert(config_get(set)->max_topic == 7);
	config_free(set);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_and_dump(slice((const char *)data, size));
	read_known();
	return 0;
}
