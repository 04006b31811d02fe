/*
 * The configuration file: read, prepared by config_scan(), and given to libconfuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_reader.h"

#define MAX_FILE	((size_t)1 << 20)

static int
parse(const char *prepared)
{
	cfg_t *cfg = config_grammar_new();
	int    r;

	cfg_set_error_function(cfg, config_on_error);
	r = cfg_parse_buf(cfg, prepared);
	if (r == CFG_SUCCESS)
		config_note_empty_lists(cfg);
	else
		config_complain((unsigned)cfg->line, "syntax error");
	cfg_free(cfg);
	return r == CFG_SUCCESS ? 0 : EX_CONFIG;
}

int
config_text_read(struct config_set *set, const char *file, struct slice text, char **why)
{
	struct config_reader reader = { .set = set, .file = file };
	autobuf struct buf   prepared = { 0 };
	int		     r;

	r = config_scan(file, text, &prepared, why);
	if (r < 0)
		return EX_CONFIG;
	*buf_room(&prepared, 1) = '\0';
	config_reading = &reader;
	r = parse(prepared.p);
	config_reading = NULL;
	config_route_free(&reader.route);
	config_key_free(&reader.key);
	*why = reader.why;
	return r;
}

/* Everything there is, up to MAX_FILE. 0 or -errno. */
static int
read_all(int fd, struct buf *out)
{
	for (;;) {
		ssize_t n = read(fd, buf_room(out, 4096), 4096);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		out->n += (size_t)n;
		if (out->n > MAX_FILE)
			return -EFBIG;
	}
}

static int
open_and_read(struct config_set *set, struct buf *text)
{
	struct stat st;
	int	    fd, r;

	fd = open(set->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	set->file_mode = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_mode : 0;
	r = read_all(fd, text);
	close(fd);
	return r;
}

int
config_file_read(struct config_set *set, char **why)
{
	autobuf struct buf text = { 0 };
	int		   r;

	r = open_and_read(set, &text);
	if (r == 0)
		return config_text_read(set, set->file, buf_slice(&text), why);
	*why = xasprintf("%s: %s", set->file, strerror(-r));
	return EX_CONFIG;
}
