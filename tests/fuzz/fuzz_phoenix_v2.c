/*
 * Phoenix V2 messages in text frames.
 */
#include "fuzz_phoenix.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct slice text = slice((const char *)data, size);
	struct inbound in;

	/* Other text does not pass the transport. */
	if (!utf8_valid(text) || codec_phoenix_v2.decode(&in, false, text) < 0)
		return 0;
	assert(!in.binary);
	fuzz_check_text(&codec_phoenix_v2, &in);
	return 0;
}
