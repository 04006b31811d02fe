/*
 * Phoenix V1 messages, sent as text and as binary.
 */
#include "fuzz_phoenix.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct slice text = slice((const char *)data, size);
	struct inbound in;
	int r = codec_phoenix_v1.decode(&in, true, text);

	if (!utf8_valid(text)) {
		assert(r < 0);
		return 0;
	}
	assert(codec_phoenix_v1.decode(&in, false, text) == r);
	if (r < 0)
		return 0;
	assert(!in.binary);
	fuzz_check_text(&codec_phoenix_v1, &in);
	return 0;
}
