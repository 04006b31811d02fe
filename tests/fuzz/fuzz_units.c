/*
 * Numbers with units: what is read is written and read back as the same.
 */
#include <assert.h>
#include <errno.h>

#include "base/mem.h"
#include "base/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const char *text, int (*read)(const char *, uint64_t *), char *(*write)(uint64_t, char *, unsigned long))
{
	uint64_t value = 77, back = 78;
	char	 out[32];
	int	 r;

	r = read(text, &value);
	assert(r == 0 || ((r == -EINVAL || r == -ERANGE) && value == 77));
	if (r < 0)
		return;
	r = read(write(value, out, sizeof(out)), &back);
	assert(r == 0 && back == value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size);
	struct rate    rate = { 0 };
	uint64_t       number;
	bool	       yes;

	check(text, units_size, units_size_text);
	check(text, units_duration, units_duration_text);
	units_bool(text, &yes);
	units_number(text, &number);
	assert(units_rate(text, &rate) < 0 || rate.period_ms > 0);
	return 0;
}
