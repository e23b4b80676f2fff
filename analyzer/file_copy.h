/* Copies a sparse file. Thread-safe. */
#ifndef PERFSHIM_ANALYZER_FILE_COPY_H
#define PERFSHIM_ANALYZER_FILE_COPY_H

/*
 * Copies what `from` holds into the empty file `to`, which gets the same size; holes, and pages
 * that hold only zeros, take no room there. Both descriptors' positions move. 0, or an errno value.
 */
int file_copy(int from, int to);

#endif
