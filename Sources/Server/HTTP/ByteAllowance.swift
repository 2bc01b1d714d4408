// SPDX-License-Identifier: Apache-2.0
// Memory that many share.

import Synchronization

/// A number of bytes from which requests take what they hold.
final class ByteAllowance: Sendable {
    private let limit: Int
    private let held = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    /// What one request has taken.
    final class Share: Sendable {
        private let allowance: ByteAllowance
        private let taken = Atomic<Int>(0)

        init(of allowance: ByteAllowance) { self.allowance = allowance }

        /// - Returns: false when there is not so much left; then nothing was taken.
        func take(_ byteCount: Int) -> Bool {
            let total = allowance.held.wrappingAdd(byteCount, ordering: .relaxed).newValue
            guard total <= allowance.limit else {
                allowance.held.wrappingSubtract(byteCount, ordering: .relaxed)
                return false
            }
            taken.wrappingAdd(byteCount, ordering: .relaxed)
            return true
        }

        /// Gives everything back; later calls give nothing.
        func giveBack() {
            let count = taken.exchange(0, ordering: .relaxed)
            allowance.held.wrappingSubtract(count, ordering: .relaxed)
        }
    }
}

/// Bytes that have passed.
final class ByteCount: Sendable {
    private let total = Atomic<Int>(0)
    var value: Int { total.load(ordering: .relaxed) }
    func add(_ byteCount: Int) { total.wrappingAdd(byteCount, ordering: .relaxed) }
}
