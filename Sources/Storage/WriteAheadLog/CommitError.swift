// SPDX-License-Identifier: Apache-2.0
// What a commit can come to.

/// Why a commit was not taken. Nothing of it is visible in this process.
package enum CommitError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Disk full, failing disk, or memory full: try again later. Servers answer 503 with
    /// `Retry-After`.
    case unavailable(reason: String, retryAfterSeconds: Int)
    /// The batch can never be taken; splitting it helps.
    case tooLarge(byteCount: Int, limit: Int)
    /// The kernel is being stopped.
    case stopped

    package var description: String {
        switch self {
        case .unavailable(let reason, let seconds):
            "writes are refused: \(reason); retry after \(seconds) s"
        case .tooLarge(let count, let limit):
            "a commit of \(count) bytes exceeds the limit of \(limit): send smaller batches"
        case .stopped: "writes are refused: the server is stopping"
        }
    }
}

/// A durable commit. Whoever got it applies its batch to the heads of `generation` and then
/// must call `Kernel.applied` exactly once, also when applying failed.
package struct CommitTicket: Sendable, Hashable {
    package var generation: UInt64
    package var sequence: UInt64
    package init(generation: UInt64, sequence: UInt64) {
        self.generation = generation
        self.sequence = sequence
    }
}
