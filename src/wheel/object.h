/*
 * One ELF object, as the dynamic linker would see it. Its bytes are foreign: every offset, count and length in
 * them is held against the file before it is followed.
 */
#ifndef WHEEL_OBJECT_H
#define WHEEL_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wheel.h"

#define OBJECT_MAGIC_BYTES 4

bool object_is_magic(const void *start, size_t len);

/* Reads the object in `fd` into `o`, whose path stays as it is. False when it is none that could be loaded or
 * linked: `o` then says only that it is there (`sound` is false). Blocks. Release in either case. */
bool object_read(int fd, struct wheel_object *o);
void object_release(struct wheel_object *o);

/* arm.c: whether code with this section .ARM.attributes runs on an ARMv6 with VFPv2 (Raspberry Pi 1 and Zero).
 * False also when the section cannot be understood. Source: Addenda to, and Errata in, the ABI for the Arm
 * Architecture (IHI 0045), chapter 3. */
bool object_arm_runs_on_v6(const uint8_t *section, size_t len, bool big_endian);

#endif
