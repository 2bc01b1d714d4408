// SPDX-License-Identifier: Apache-2.0
// The seam to the set of parts.

/// The parts that exist, and how far the log is in them.
package struct PartSet: Sendable, Equatable {
    /// Counts the changes.
    package var epoch: UInt64 = 0
    /// First log sequence whose data is not in parts.
    package var covered: UInt64 = 1
    package var parts: [UInt64: PartDescriptor] = [:]

    package init() {}

    /// All parts by id.
    package var sorted: [PartDescriptor] { parts.values.sorted { $0.id < $1.id } }
}

/// A change of the set: takes effect whole or not at all.
package struct PartEdit: Sendable, Equatable {
    package var added: [PartDescriptor]
    package var removed: [UInt64]
    /// Moves the covered log position; nil leaves it.
    package var covered: UInt64?

    package init(
        added: [PartDescriptor] = [], removed: [UInt64] = [], covered: UInt64? = nil
    ) {
        self.added = added
        self.removed = removed
        self.covered = covered
    }
}

/// Why a change was not taken.
package enum MetaStoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Somebody else changed the set since `epoch`: look again.
    case conflict(epoch: UInt64)
    /// The edit removes a part that is not in the set.
    case noSuchPart(UInt64)
    /// The change could not be made durable. After the next successful change it is certain that
    /// it did not happen; until then a restart may still find it, so the blobs it names and those
    /// it removes must both be kept.
    case unavailable(String)

    package var description: String {
        switch self {
        case .conflict(let epoch): "the manifest is at epoch \(epoch)"
        case .noSuchPart(let id): "part \(id) is not in the manifest"
        case .unavailable(let reason): "the manifest cannot be changed: \(reason)"
        }
    }
}

/// The truth about which parts exist. Embedded it is a file; scaled out it is a consensus store.
package protocol MetaStore: Sendable {
    /// The set now, one immutable value.
    var current: PartSet { get }
    /// Changes the set if its epoch is still `epoch`; durable when this returns. Blocks.
    ///
    /// - Returns: the epoch after the change.
    func commit(_ edit: PartEdit, ifEpoch epoch: UInt64) throws(MetaStoreError) -> UInt64
    /// Ids for new parts, never given before and never again.
    ///
    /// - Returns: the first of `count` consecutive ids.
    func reserveIDs(_ count: Int) -> UInt64
    /// Each set after the current one; a slow reader gets only the newest.
    func watch() -> AsyncStream<PartSet>
    func close()
}
