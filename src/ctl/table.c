/*
 * Tables for a terminal.
 */
#include "ctl/table.h"

#include <stdlib.h>

#include "base/mem.h"
#include "ctl/words.h"

#define GAP	2	/* blanks between columns */

void
table_init(struct table *t, const struct table_column *columns, unsigned n)
{
	*t = (struct table){ .columns = columns, .n_columns = n };
}

void
table_done(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){ 0 };
}

void
table_add(struct table *t, struct slice text)
{
	struct buf cell = { 0 };

	words_add_visible(&cell, text);
	buf_add_char(&cell, '\0');
	t->cells = xrealloc(t->cells, (t->n + 1) * sizeof(*t->cells));
	t->cells[t->n++] = cell.p;
}

/* In characters, as far as these are one column wide. */
static size_t
width_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void
print_cell(const struct table *t, unsigned column, const char *text, size_t width, FILE *out)
{
	int fill = (int)(width - width_of(text));

	if (t->columns[column].right)
		fprintf(out, "%*s%s", fill, "", text);
	else
		fprintf(out, "%s%*s", text, column + 1 < t->n_columns ? fill : 0, "");
	fprintf(out, "%*s", column + 1 < t->n_columns ? GAP : 0, "");
	if (column + 1 == t->n_columns)
		fputc('\n', out);
}

void
table_print(const struct table *t, FILE *out)
{
	autofree size_t *widths = xcalloc(t->n_columns, sizeof(*widths));

	for (unsigned c = 0; c < t->n_columns; c++)
		widths[c] = width_of(t->columns[c].title);
	for (size_t i = 0; i < t->n; i++)
		if (width_of(t->cells[i]) > widths[i % t->n_columns])
			widths[i % t->n_columns] = width_of(t->cells[i]);
	for (unsigned c = 0; c < t->n_columns; c++)
		print_cell(t, c, t->columns[c].title, widths[c], out);
	for (size_t i = 0; i < t->n; i++)
		print_cell(t, (unsigned)(i % t->n_columns), t->cells[i], widths[i % t->n_columns], out);
}
