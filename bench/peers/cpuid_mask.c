/* Shows a process fewer instruction sets than its CPU has: preload it, RESNET_BENCH_AS=vnni|avx2.
 *
 * Linux can make CPUID fault (arch_prctl ARCH_SET_CPUID). The handler executes it, clears the bits
 * that are to be hidden, and goes on behind it. Threads and forks inherit the setting; exec ends it,
 * and this library, preloaded again, starts it anew. Libraries that choose kernels by CPUID (all
 * that are measured here) then choose those of the lesser CPU. Its clock and caches stay its own.
 *
 * avx2 is Haswell: no AVX-512, VNNI, AMX, bf16. vnni is Ice Lake: AVX-512 with VNNI, no AMX, bf16, fp16.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif

enum { EAX, EBX, ECX, EDX };
#define BIT(n) (1u << (n))

static int only_avx2;
static struct sigaction before;

static void hide(unsigned leaf, unsigned subleaf, unsigned r[4]) {
    if (leaf == 7 && subleaf == 0) {
        r[EDX] &= ~(BIT(22) | BIT(23) | BIT(24) | BIT(25)); /* amx_bf16, avx512_fp16, amx_tile, amx_int8 */
        if (only_avx2) {
            /* avx512 f, dq, ifma, pf, er, cd, bw, vl */
            r[EBX] &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31));
            r[ECX] &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)); /* vbmi, vbmi2, vnni, bitalg, vpopcntdq */
            r[EDX] &= ~(BIT(2) | BIT(3) | BIT(8));             /* 4vnniw, 4fmaps, vp2intersect */
        }
    } else if (leaf == 7 && subleaf == 1) {
        r[EAX] &= ~(BIT(4) | BIT(5) | BIT(21) | BIT(23)); /* avx_vnni, avx512_bf16, amx_fp16, avx_ifma */
        r[EDX] &= ~(BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19)); /* avx_vnni_int8 …, amx_complex, avx10 */
    } else if (leaf == 0x1d || leaf == 0x1e || leaf == 0x24) {
        memset(r, 0, 4 * sizeof *r); /* tiles, avx10 */
    }
}

static long faulting(int on) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, !on); }

static void answer(int signal, siginfo_t *info, void *context) {
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)regs[REG_RIP];
    /* A general protection fault has no address; any other fault is the program's own. */
    if (info->si_code != SI_KERNEL || at[0] != 0x0f || at[1] != 0xa2) {
        if ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction) {
            before.sa_sigaction(signal, info, context);
        } else {
            sigaction(SIGSEGV, &before, NULL);
        }
        return;
    }
    unsigned leaf = (unsigned)regs[REG_RAX], subleaf = (unsigned)regs[REG_RCX], r[4];
    faulting(0);
    __asm__ volatile("cpuid"
                     : "=a"(r[EAX]), "=b"(r[EBX]), "=c"(r[ECX]), "=d"(r[EDX])
                     : "a"(leaf), "c"(subleaf));
    faulting(1);
    hide(leaf, subleaf, r);
    regs[REG_RAX] = r[EAX];
    regs[REG_RBX] = r[EBX];
    regs[REG_RCX] = r[ECX];
    regs[REG_RDX] = r[EDX];
    regs[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
    const char *as = getenv("RESNET_BENCH_AS");
    if (!as || !*as) return;
    only_avx2 = !strcmp(as, "avx2");
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    if ((!only_avx2 && strcmp(as, "vnni")) || sigaction(SIGSEGV, &action, &before) || faulting(1)) {
        fprintf(stderr, "cpuid_mask: can't show this CPU as '%s' (needs CPUID faulting)\n", as);
        _exit(70);
    }
}
