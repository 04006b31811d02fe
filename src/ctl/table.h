/*
 * Tables for a terminal: columns aligned, numbers to the right, one line a row.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdio.h>

#include "base/buf.h"

struct table_column {
	const char	*title;
	const char	*member;	/* of the object that a row shows, for who fills it by name */
	bool		 right;
};

/* Cells are filled row by row. */
struct table {
	const struct table_column *columns;	/* borrowed */
	unsigned		   n_columns;
	char			 **cells;
	size_t			   n;
};

void table_init(struct table *, const struct table_column *, unsigned n);
void table_done(struct table *);
/* The next cell; whatever it holds is made fit for a terminal. */
void table_add(struct table *, struct slice text);
/* The head, then all rows. */
void table_print(const struct table *, FILE *);

#endif
