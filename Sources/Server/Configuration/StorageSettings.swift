// SPDX-License-Identifier: Apache-2.0
// What is kept, and for how long.

import Base
import Glibc
import MetricStore
import Storage

/// The section `storage`. Source: prometheus/prometheus `config/config.go`, `StorageConfig`.
package struct StorageSettings: Sendable, Equatable {
    /// `storage.tsdb.retention`; nil or 0 = not given.
    package var retentionSeconds: Double?
    package var retentionBytes: Int?
    /// Percent of the file system that the data directory is on.
    package var retentionPercent: Double?
    /// Without effect: samples of any age inside retention are accepted.
    package var outOfOrderWindowSeconds: Double?
    /// Without effect: series without new samples cost no memory of their own.
    package var staleSeriesCompactionThreshold: Double?
    /// Without effect: blocks choose the best of their encodings.
    package var floatChunkEncoding: String?
    /// Without effect: exemplars are kept as long as samples.
    package var maxExemplars: Int?
    /// Retention by selector, in the order of the file; ours.
    package var retentionRules: [MetricRetention] = []
    /// Within which a request to delete logs can be taken back; nil = not given. Ours.
    package var deleteCancelSeconds: Double?
    /// Ours too.
    package var downsampling: [DownsamplingRule] = []

    package init() {}

    init(_ section: inout YAMLSection) throws(ConfigurationError) {
        if var tsdb = try section.section("tsdb") {
            outOfOrderWindowSeconds = try tsdb.duration("out_of_order_time_window")
            staleSeriesCompactionThreshold = try tsdb.double("stale_series_compaction_threshold")
            if var retention = try tsdb.section("retention") {
                try readRetention(&retention)
                try retention.finish()
            }
            if var encoding = try tsdb.section("chunk_encoding") {
                floatChunkEncoding = try encoding.string("floats")
                if let name = floatChunkEncoding, name != "xor", name != "xor2" {
                    throw encoding.failure(
                        "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the "
                            + "field must be omitted entirely, got \(quotedText(name))")
                }
                try encoding.finish()
            }
            try tsdb.finish()
        }
        if var exemplars = try section.section("exemplars") {
            maxExemplars = try exemplars.int("max_exemplars", allowsNegative: true)
            try exemplars.finish()
        }
        retentionRules = try Self.retentionRules(&section)
        deleteCancelSeconds = try section.duration("delete_request_cancel_period")
        downsampling = try Self.downsamplingRules(&section)
        try section.finish()
    }

    private mutating func readRetention(_ section: inout YAMLSection) throws(ConfigurationError) {
        retentionSeconds = try section.duration("time")
        if section.peek("size")?.hasPrefix("-") == true {
            throw section.failure(
                "'storage.tsdb.retention.size' must be greater than or equal to 0")
        }
        retentionBytes = try section.byteSize("size")
        retentionPercent = try section.double("percentage")
        if let percent = retentionPercent, !(0...100).contains(percent) {
            throw section.failure(
                "'storage.tsdb.retention.percentage' must be in the range [0, 100]")
        }
        if retentionSeconds == 0 { retentionSeconds = nil }
        if retentionBytes == 0 { retentionBytes = nil }
        if retentionPercent == 0 { retentionPercent = nil }
    }

    /// Most bytes to keep: the lesser of the size and the percentage, nil = no limit.
    ///
    /// - Parameter path: on the file system that the percentage is of; it need not exist yet.
    func retentionBytes(on path: String) -> Int? {
        var limits = retentionBytes.map { [$0] } ?? []
        if let percent = retentionPercent {
            var information = statvfs()
            var place = path
            while statvfs(place, &information) != 0 {
                guard let slash = place.lastIndex(of: "/"), slash != place.startIndex else {
                    place = place.hasPrefix("/") ? "/" : "."
                    guard statvfs(place, &information) == 0 else { return limits.min() }
                    break
                }
                place = String(place[..<slash])
            }
            let total = Double(information.f_blocks) * Double(information.f_frsize)
            limits.append(max(1, Int(exactly: (total * percent / 100).rounded()) ?? Int.max))
        }
        return limits.min()
    }

    /// What of the section changes nothing here, and why.
    var notes: [String] {
        var notes: [String] = []
        if outOfOrderWindowSeconds != nil {
            notes.append(
                "storage.tsdb.out_of_order_time_window: without effect, samples of any age inside "
                    + "retention are accepted")
        }
        if staleSeriesCompactionThreshold != nil {
            notes.append(
                "storage.tsdb.stale_series_compaction_threshold: without effect, heads are sealed "
                    + "by age and size")
        }
        if floatChunkEncoding != nil {
            notes.append(
                "storage.tsdb.chunk_encoding: without effect, each block has the best encoding")
        }
        if maxExemplars != nil {
            notes.append(
                "storage.exemplars.max_exemplars: without effect, exemplars are kept as long as "
                    + "samples")
        }
        return notes
    }
}
