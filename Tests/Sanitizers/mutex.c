// SPDX-License-Identifier: Apache-2.0
// Lets the thread sanitizer see Swift's Mutex on Linux.
//
// The contended paths of Synchronization.Mutex are in a library that is not instrumented and use
// futexes, so that everything a contended Mutex guards is reported as a race. Loaded before it, this
// tells the sanitizer who handed the lock to whom; real races are still found.
//
//   clang -O1 -shared -fPIC -o mutex.so Tests/Sanitizers/mutex.c -ldl
//   swift build --build-tests --sanitize=thread --scratch-path .build-tsan
//   LD_PRELOAD=./mutex.so SWIFT_BACKTRACE=enable=no .build-tsan/debug/ternPackageTests.xctest
//     --testing-library swift-testing --filter ConcurrencyTests

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

extern void __tsan_acquire(void *) __attribute__((weak));
extern void __tsan_release(void *) __attribute__((weak));

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"

static SWIFT void (*lock)(uint32_t, SELF void *);
static SWIFT void (*unlock)(SELF void *);
static SWIFT bool (*try_lock)(SELF void *);

__attribute__((constructor)) static void find(void) {
    lock = dlsym(RTLD_NEXT, LOCK);
    unlock = dlsym(RTLD_NEXT, UNLOCK);
    try_lock = dlsym(RTLD_NEXT, TRY_LOCK);
}

SWIFT void lock_slow(uint32_t thread, SELF void *self) __asm__(LOCK);
SWIFT void lock_slow(uint32_t thread, SELF void *self) {
    if (!lock) find();
    lock(thread, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT void unlock_slow(SELF void *self) __asm__(UNLOCK);
SWIFT void unlock_slow(SELF void *self) {
    if (!unlock) find();
    if (__tsan_release) __tsan_release(self);
    unlock(self);
}

SWIFT bool try_lock_slow(SELF void *self) __asm__(TRY_LOCK);
SWIFT bool try_lock_slow(SELF void *self) {
    if (!try_lock) find();
    bool taken = try_lock(self);
    if (taken && __tsan_acquire) __tsan_acquire(self);
    return taken;
}
