/*
 * UTF-8: the same answer as the model, wherever the text is cut.
 */
#include <assert.h>
#include <stdint.h>

#include "../unit/utf8_model.h"
#include "net/utf8.h"

#define MAX_CUTS	64

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char     *p = (const char *)data;
	uint32_t	state = utf8_feed(UTF8_OK, p, size);
	enum utf8_model want = model_text(data, size);

	assert((state == UTF8_OK) == (want == MODEL_OK) && (state == UTF8_BAD) == (want == MODEL_BAD));
	assert(utf8_valid(slice(p, size)) == (want == MODEL_OK));
	for (size_t cut = 0; cut <= size && cut <= MAX_CUTS; cut++)
		assert(utf8_feed(utf8_feed(UTF8_OK, p, cut), p + cut, size - cut) == state);
	return 0;
}
