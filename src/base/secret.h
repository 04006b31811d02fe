/*
 * Files that hold a key or a secret: read with care, wiped after use.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>
#include <sys/types.h>

#define SECRET_FILE_MAX	(64 * 1024)

/* The bytes of a file; secret_done() it even after a failure. */
struct secret {
	char	*p;
	size_t	 n;
	mode_t	 mode;	/* of the file: permissions alone */
};

/* Returns NULL, or why not (static text, or strerror()'s): no regular file, a symbolic link, too large, unreadable. */
const char *secret_read(struct secret *, const char *path);
/* The same for a file that must be hidden from others; *why for the caller to free. 0 or -EINVAL. */
int secret_read_hidden(struct secret *, const char *path, char **why);
/* Without the newline at its end. */
size_t secret_line_len(const struct secret *);
void secret_done(struct secret *);
/* NULL is fine. */
void secret_wipe(char *p, size_t n);

#endif
