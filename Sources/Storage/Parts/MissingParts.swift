// SPDX-License-Identifier: Apache-2.0
// Parts that exist and cannot be read.

/// Parts that a store was told of and cannot show, so that answers can say what they lack.
package struct MissingParts: Sendable {
    private var parts: [UInt64: (descriptor: PartDescriptor, fault: PartCorruption)] = [:]

    package init() {}

    package mutating func add(_ part: PartDescriptor, _ fault: PartCorruption) {
        parts[part.id] = (part, fault)
    }

    package mutating func remove(_ ids: some Sequence<UInt64>) {
        guard !parts.isEmpty else { return }
        for id in ids { parts[id] = nil }
    }

    /// What is wrong with the parts of a tenant whose data may lie between these times, inclusive,
    /// in nanoseconds; by id.
    package func faults(tenant: String, from first: Int64, to last: Int64) -> [PartCorruption] {
        if parts.isEmpty { return [] }
        return parts.sorted { $0.key < $1.key }.map(\.value).filter {
            $0.descriptor.tenant == tenant && $0.descriptor.minNanos <= last
                && first <= $0.descriptor.maxNanos
        }.map(\.fault)
    }
}
