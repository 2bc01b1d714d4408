// SPDX-License-Identifier: Apache-2.0
// Translated names of metrics, remembered.

import Base
import Synchronization

/// Names of one metric in Prometheus.
final class OTLPNames: Sendable {
    /// As sent, for messages.
    let otlpName: String
    let otlpUnit: String
    /// Prometheus' name, and the names of its classic series.
    let name: [UInt8]
    let bucketName: [UInt8]
    let countName: [UInt8]
    let sumName: [UInt8]
    /// For metadata.
    let unit: String

    init(_ name: String, unit: String, translated: String) {
        otlpName = name
        otlpUnit = unit
        self.name = Array(translated.utf8)
        bucketName = self.name + Array("_bucket".utf8)
        countName = self.name + Array("_count".utf8)
        sumName = self.name + Array("_sum".utf8)
        self.unit = OTLPMetricName.unit(unit)
    }
}

/// What names were translated to, across requests: senders send the same ones every few seconds.
///
/// Translating works with strings and costs some microseconds; a metric often has but a few points.
/// Holds `capacity` names of at most `maxBytes` each, a few MiB, and begins anew when it is full.
package final class OTLPNameMemory: Sendable {
    private struct Entry: Sendable {
        var kind: OTLPMetricName.Kind
        var strategy: TranslationStrategy
        var names: OTLPNames
    }

    static let capacity = 8192
    static let maxBytes = 256
    private let entries = Mutex<[UInt64: Entry]>([:])

    package init() {}

    var count: Int { entries.withLock { $0.count } }

    /// The names of a metric, translated where they are not known; nil when no name would be left.
    func names(
        _ name: UnsafeRawBufferPointer, unit: UnsafeRawBufferPointer,
        _ kind: OTLPMetricName.Kind, _ strategy: TranslationStrategy
    ) -> OTLPNames? {
        let key = hash64(name) &* 31 &+ hash64(unit)
        let known = entries.withLock { $0[key] }
        if let known, known.kind == kind, known.strategy == strategy,
            isEqual(known.names.otlpName, name), isEqual(known.names.otlpUnit, unit)
        {
            return known.names
        }
        guard let names = Self.translate(name, unit: unit, kind, strategy) else { return nil }
        if name.count <= Self.maxBytes, unit.count <= Self.maxBytes {
            entries.withLock {
                if $0.count >= Self.capacity { $0.removeAll(keepingCapacity: true) }
                $0[key] = Entry(kind: kind, strategy: strategy, names: names)
            }
        }
        return names
    }

    static func translate(
        _ name: UnsafeRawBufferPointer, unit: UnsafeRawBufferPointer,
        _ kind: OTLPMetricName.Kind, _ strategy: TranslationStrategy
    ) -> OTLPNames? {
        guard isValidUTF8(name) else { return nil }
        let text = String(decoding: name, as: UTF8.self)
        let unit = String(decoding: unit, as: UTF8.self)
        return OTLPMetricName.translate(text, unit: unit, kind, strategy).map {
            OTLPNames(text, unit: unit, translated: $0)
        }
    }

    private func isEqual(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
        text.utf8.withContiguousStorageIfAvailable {
            equalBytes(UnsafeRawBufferPointer($0), bytes)
        } ?? text.utf8.elementsEqual(bytes)
    }
}
