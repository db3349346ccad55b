#include "make_elf.h"

#include <assert.h>
#include <string.h>

static Elf64_Word add_string(struct made_library *l, const char *text)
{
    size_t len = strlen(text) + 1, at = l->strings_len;

    assert(at + len <= sizeof l->strings);
    memcpy(l->strings + at, text, len);
    l->strings_len += len;
    return (Elf64_Word)at;
}

static void add_number(struct made_library *l, Elf64_Sxword tag, Elf64_Xword value)
{
    l->entries[l->entry_count].d_tag = tag;
    l->entries[l->entry_count++].d_un.d_val = value;
}

static void make_header(unsigned char ident[EI_NIDENT], int bits)
{
    memcpy(ident, ELFMAG, SELFMAG);
    ident[EI_CLASS] = bits == 64 ? ELFCLASS64 : ELFCLASS32;
    ident[EI_DATA] = ELFDATA2LSB;
    ident[EI_VERSION] = EV_CURRENT;
}

void make_library(struct made_library *l)
{
    memset(l, 0, sizeof *l);
    make_header(l->header.e_ident, 64);
    l->header.e_type = ET_DYN;
    l->header.e_machine = EM_X86_64;
    l->header.e_version = EV_CURRENT;
    l->header.e_phoff = offsetof(struct made_library, load);
    l->header.e_ehsize = sizeof l->header;
    l->header.e_phentsize = sizeof l->load;
    l->header.e_phnum = 2;
    l->load = (Elf64_Phdr){.p_type = PT_LOAD, .p_filesz = MADE_LIBRARY_BYTES, .p_memsz = MADE_LIBRARY_BYTES};
    l->dynamic = (Elf64_Phdr){.p_type = PT_DYNAMIC, .p_offset = offsetof(struct made_library, entries),
                              .p_vaddr = offsetof(struct made_library, entries), .p_filesz = sizeof l->entries};
    l->strings_len = 1;
    add_number(l, DT_STRTAB, offsetof(struct made_library, strings));
    add_number(l, DT_STRSZ, sizeof l->strings);
}

void make_entry(struct made_library *l, Elf64_Sxword tag, const char *text)
{
    add_number(l, tag, add_string(l, text));
}

void make_version(struct made_library *l, const char *name)
{
    unsigned at = l->version_count++;

    assert(at < 3);
    if (at == 0)
        add_number(l, DT_VERNEED, offsetof(struct made_library, library));
    else
        l->versions[at - 1].vna_next = sizeof l->versions[0];
    l->versions[at] = (Elf64_Vernaux){.vna_name = add_string(l, name)};
    l->library = (Elf64_Verneed){.vn_version = VER_NEED_CURRENT, .vn_cnt = (Elf64_Half)l->version_count,
                                 .vn_aux = offsetof(struct made_library, versions) -
                                           offsetof(struct made_library, library)};
}

void make_arm(struct made_arm *a, const void *attributes, size_t len)
{
    memset(a, 0, sizeof *a);
    make_header(a->header.e_ident, 32);
    a->header.e_type = ET_REL;
    a->header.e_machine = EM_ARM;
    a->header.e_version = EV_CURRENT;
    a->header.e_shoff = offsetof(struct made_arm, sections);
    a->header.e_ehsize = sizeof a->header;
    a->header.e_shentsize = sizeof a->sections[0];
    a->header.e_shnum = 2;
    a->sections[1] = (Elf32_Shdr){.sh_type = SHT_ARM_ATTRIBUTES, .sh_size = (Elf32_Word)len, .sh_addralign = 1,
                                  .sh_offset = offsetof(struct made_arm, attributes)};
    assert(len <= sizeof a->attributes);
    memcpy(a->attributes, attributes, len);
}
