// Lets user-mode-linux run on processors whose extended state is larger than it knows (AMX). Loaded before its C
// library (LD_PRELOAD).
//
// user-mode-linux 6.1 keeps the first 2,696 bytes of a process's extended registers and writes just these back. The
// host's kernel takes all or nothing, so that every process it starts dies at once. Here the rest, which processes in
// it do not use, is added as it is.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

typedef long Ptrace(enum __ptrace_request, pid_t, void*, void*);

static long SetAll(Ptrace* real, pid_t pid, const struct iovec* part) {
  static _Thread_local char state[64 * 1024];
  struct iovec all = {state, sizeof(state)};
  if (real(PTRACE_GETREGSET, pid, (void*)NT_X86_XSTATE, &all) != 0) return -1;
  memcpy(state, part->iov_base, part->iov_len < all.iov_len ? part->iov_len : all.iov_len);
  return real(PTRACE_SETREGSET, pid, (void*)NT_X86_XSTATE, &all);
}

long ptrace(enum __ptrace_request request, ...) {
  static Ptrace* real;
  va_list arguments;
  va_start(arguments, request);
  const pid_t pid = va_arg(arguments, pid_t);
  void* const address = va_arg(arguments, void*);
  void* const data = va_arg(arguments, void*);
  va_end(arguments);
  if (real == NULL) real = (Ptrace*)dlsym(RTLD_NEXT, "ptrace");
  if (request == PTRACE_SETREGSET && address == (void*)NT_X86_XSTATE) return SetAll(real, pid, data);
  return real(request, pid, address, data);
}
