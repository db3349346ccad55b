/*
 * Makes ELF objects byte by byte, so that a test can have one that lies anywhere it likes.
 */
#ifndef MAKE_ELF_H
#define MAKE_ELF_H

#include <elf.h>
#include <stddef.h>

#define MADE_NEEDED_MAX 8
#define MADE_STRINGS_SIZE 512

/* A shared library for x86-64 as it lies in its file: addresses are offsets. To lie, change it once it is made. */
struct made_library {
    Elf64_Ehdr header;
    Elf64_Phdr load, dynamic;
    Elf64_Dyn entries[MADE_NEEDED_MAX + 8];
    Elf64_Verneed library;
    Elf64_Vernaux versions[3];
    char strings[MADE_STRINGS_SIZE];
    size_t strings_len;          /* from here on: the maker's */
    unsigned entry_count, version_count;
};
#define MADE_LIBRARY_BYTES offsetof(struct made_library, strings_len)

void make_library(struct made_library *l);
void make_entry(struct made_library *l, Elf64_Sxword tag, const char *text);  /* DT_NEEDED, DT_RUNPATH, … */
void make_version(struct made_library *l, const char *name);                  /* "GLIBC_2.34" */

/* A 32-bit Arm object with only a section of attributes. */
struct made_arm {
    Elf32_Ehdr header;
    Elf32_Shdr sections[2];
    unsigned char attributes[128];
};
void make_arm(struct made_arm *a, const void *attributes, size_t len);

#endif
