// SPDX-License-Identifier: Apache-2.0
// How many objects a piece of work allocates.

import Glibc
import Synchronization

/// Counts through the hook that the Swift runtime has for its allocator: a variable that points to
/// the function behind every object and every array's storage.
package enum AllocationCount {
    fileprivate typealias Allocate =
        @convention(c) (UnsafeRawPointer?, Int, Int) ->
        UnsafeMutableRawPointer?

    fileprivate static let counter = Atomic<Int>(0)

    /// The runtime's variable, what it pointed to first, and the switch that the runtime sets when
    /// it sees another function there: it then also sends every retain and release through such
    /// variables, which is slow and, in Swift 6.3, changes registers that their callers rely on. The
    /// counting function switches it off again.
    private struct Hook: @unchecked Sendable {
        // The variables live as long as the process; they are written by `during` and by what it
        // installs only, while one thread works.
        let variable: UnsafeMutablePointer<Allocate>
        let original: Allocate
        let isSwizzling: UnsafeMutablePointer<Bool>
    }

    private static let hook: Hook? = {
        let flag = "_swift_enableSwizzlingOfAllocationAndRefCountingFunctions_forInstrumentsOnly"
        guard let address = dlsym(nil, "_swift_allocObject"), let flag = dlsym(nil, flag) else {
            return nil
        }
        let variable = address.assumingMemoryBound(to: Allocate.self)
        return Hook(
            variable: variable, original: variable.pointee,
            isSwizzling: flag.assumingMemoryBound(to: Bool.self))
    }()

    package static var isCounting: Bool { hook != nil }

    /// Objects that all threads allocate while `body` runs; 0 when the runtime has no hook.
    package static func during(_ body: () throws -> Void) rethrows -> Int {
        guard let hook else {
            try body()
            return 0
        }
        let before = counter.load(ordering: .relaxed)
        hook.variable.pointee = { metadata, size, alignment in
            AllocationCount.allocate(metadata, size, alignment)
        }
        defer { hook.variable.pointee = hook.original }
        try body()
        return counter.load(ordering: .relaxed) - before
    }

    /// The same for work that waits.
    package static func during(_ body: () async throws -> Void) async rethrows -> Int {
        guard let hook else {
            try await body()
            return 0
        }
        let before = counter.load(ordering: .relaxed)
        hook.variable.pointee = { metadata, size, alignment in
            AllocationCount.allocate(metadata, size, alignment)
        }
        defer { hook.variable.pointee = hook.original }
        try await body()
        return counter.load(ordering: .relaxed) - before
    }

    fileprivate static func allocate(
        _ metadata: UnsafeRawPointer?, _ size: Int, _ alignment: Int
    ) -> UnsafeMutableRawPointer? {
        guard let hook else { return nil }
        hook.isSwizzling.pointee = false
        counter.wrappingAdd(1, ordering: .relaxed)
        return hook.original(metadata, size, alignment)
    }
}
