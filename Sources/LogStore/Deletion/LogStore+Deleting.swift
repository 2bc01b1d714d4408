// SPDX-License-Identifier: Apache-2.0
// Deleting rows, and taking that back.

import Base
import Storage
import Telemetry

/// Why rows cannot be deleted.
package enum LogStoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A part carries as many deletions as it may.
    case tooManyDeletions(part: String)
    case longQuery(limit: Int)

    package var description: String {
        switch self {
        case .tooManyDeletions(let part):
            "part \(part) carries as many deletions as it may: wait until some are processed"
        case .longQuery(let limit): "the query of a deletion has at most \(limit) bytes"
        }
    }
}

extension LogStore {
    /// Deletes rows of a tenant that were acknowledged before the call. When this returns the
    /// deletion is durable and no reader sees them; `Kernel.delete` says what holds after an error.
    /// Rows that come later are not concerned, whatever their time.
    ///
    /// - Parameter kernel: the one that this store belongs to.
    /// - Returns: parts that may hold such rows.
    @discardableResult
    package func delete(
        _ deletion: LogDeletion, tenant: Tenant, in kernel: Kernel
    ) async throws -> Int {
        guard deletion.query.utf8.count <= LogDeletions.maxQueryBytes else {
            throw LogStoreError.longQuery(limit: LogDeletions.maxQueryBytes)
        }
        try await kernel.delete(.logs, tenant: tenant.name, range: deletion.range.closed) {
            try self.adding(deletion, to: $0)
        }
        return partsDeleting(deletion.id, tenant: tenant)
    }

    /// Works out a deletion for the kernel (`Kernel.delete`): the new `deletions` by part id, of the
    /// parts that may hold rows of it.
    func adding(
        _ deletion: LogDeletion, to handles: [PartHandle]
    ) throws -> [UInt64: [UInt8]] {
        let rule = try configuration.deletionLanguage(deletion.query)
        var result: [UInt64: [UInt8]] = [:]
        for handle in handles {
            let part = try LogPart(handle, configuration.deletionLanguage)
            guard part.mayHave(rule.matchers, deletion.range) else { continue }
            var deletions = LogDeletions()
            deletions.entries = part.deletions.map(\.deletion)
            if deletions.entries.contains(where: { $0.id == deletion.id }) { continue }
            deletions.entries.append(deletion)
            guard deletions.entries.count <= LogDeletions.maxCount else {
                throw LogStoreError.tooManyDeletions(part: handle.reader.name)
            }
            result[handle.descriptor.id] = deletions.encoded()
        }
        return result
    }

    /// Takes a deletion back where its rows are still there: readers see them again.
    package func undelete(
        _ deletion: LogDeletion, tenant: Tenant, in kernel: Kernel
    ) async throws {
        try await kernel.delete(.logs, tenant: tenant.name, range: deletion.range.closed) {
            try self.removing(deletion, from: $0)
        }
    }

    /// What `undelete` makes of the deletions of parts.
    func removing(
        _ deletion: LogDeletion, from handles: [PartHandle]
    ) throws -> [UInt64: [UInt8]] {
        var result: [UInt64: [UInt8]] = [:]
        for handle in handles {
            var deletions = try decoded(handle)
            let count = deletions.entries.count
            deletions.entries.removeAll { $0.id == deletion.id }
            if deletions.entries.count < count {
                result[handle.descriptor.id] = deletions.encoded()
            }
        }
        return result
    }

    private func decoded(_ handle: PartHandle) throws(PartCorruption) -> LogDeletions {
        do throws(MalformedBytes) {
            return try LogDeletions(handle.descriptor.deletions)
        } catch {
            throw PartCorruption(
                name: handle.reader.name, offset: 0, problem: "deletions: \(error)")
        }
    }

    /// Parts that a deletion still has to be carried out in.
    package func partsDeleting(_ id: String, tenant: Tenant) -> Int {
        parts(of: tenant).count { $0.deletions.contains { $0.deletion.id == id } }
    }

    /// What merging has left out for good since the start, by request; each call tells of what came
    /// after the one before.
    package func takeRemovals() -> [String: LogRemoval] { removals.take() }
}

extension NanosRange {
    fileprivate var closed: ClosedRange<Int64> {
        first.rawValue...max(first.rawValue, last.rawValue)
    }
}

extension LogPart {
    /// Whether a stream that matches has a block that overlaps the range.
    fileprivate func mayHave(_ matchers: [LabelMatcher], _ range: NanosRange) -> Bool {
        index.matching(matchers).contains { stream in
            blocks[blocks(of: stream)].contains {
                range.overlaps(first: $0.minNanos, last: $0.maxNanos)
            }
        }
    }

    /// Whether a deletion leaves nothing of a block.
    func isDeleted(_ block: LogBlock, _ labels: Labels) -> Bool {
        deletions.contains { $0.coversAll(of: labels, block.minNanos, block.maxNanos) }
    }
}
