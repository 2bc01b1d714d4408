// SPDX-License-Identifier: Apache-2.0
// What a log query may ask for.

import Base
import FoundationEssentials
import HTTPTypes
import Ingest
import LogQL
import Synchronization
import Telemetry

extension HTTPField.Name {
    static let queryLimits = Self("X-Loki-Query-Limits").unsafelyUnwrapped
}

/// The limits of one request: the tenant's, and what the request itself makes narrower in its header
/// `X-Loki-Query-Limits`. Source: grafana/loki `pkg/util/querylimits`, texts of
/// `pkg/validation/limits.go`.
struct LogQueryLimits: Sendable {
    var limits: LogTenantLimits
    /// The request's own; nil = none.
    var timeoutSeconds: Double?

    /// What the header says; keys nobody knows are passed over, as Loki does.
    private struct Header: Decodable {
        var maxQueryLength: String?
        var maxQueryRange: String?
        var maxEntriesLimitPerQuery: Int?
        var queryTimeout: String?
        var requiredLabels: [String]?
        var requiredNumberLabels: Int?
        var maxQueryBytesRead: String?
    }

    init(_ limits: LogTenantLimits, _ request: APIRequest) throws(APIError) {
        self.limits = limits
        guard let text = request.headers[.queryLimits], !text.isEmpty else { return }
        let header: Header
        do { header = try JSONDecoder().decode(Header.self, from: Data(text.utf8)) } catch {
            throw APIError(.badData, "invalid query limits")
        }
        func narrow(_ own: Double?, _ limit: inout Double) {
            if let own, own > 0 { limit = limit > 0 ? min(limit, own) : own }
        }
        func narrow(_ own: Int?, _ limit: inout Int) {
            if let own, own > 0 { limit = limit > 0 ? min(limit, own) : own }
        }
        narrow(try Self.seconds(header.maxQueryLength), &self.limits.maxQueryLengthSeconds)
        narrow(try Self.seconds(header.maxQueryRange), &self.limits.maxQueryRangeSeconds)
        narrow(header.maxEntriesLimitPerQuery, &self.limits.maxEntriesPerQuery)
        narrow(header.requiredNumberLabels, &self.limits.requiredNumberLabels)
        if let text = header.maxQueryBytesRead {
            guard let bytes = parseByteSize(text) else {
                throw APIError(.badData, "invalid query limits: size \(quotedText(text))")
            }
            narrow(bytes, &self.limits.maxQueryBytesRead)
        }
        self.limits.requiredLabels += header.requiredLabels ?? []
        timeoutSeconds = try Self.seconds(header.queryTimeout)
    }

    private static func seconds(_ text: String?) throws(APIError) -> Double? {
        guard let text, !text.isEmpty else { return nil }
        guard let millis = try? parseDurationMillis(text) else {
            throw APIError(
                .badData, "invalid query limits: not a valid duration string: \"\(text)\"")
        }
        return Double(millis) / 1000
    }

    // MARK: - Checks

    func checkText(_ text: String) throws(APIError) {
        let (count, limit) = (text.utf8.count, limits.maxQueryTextBytes)
        guard limit == 0 || count <= limit else {
            throw APIError(.badData, "parse error : input size too long (\(count) > \(limit))")
        }
    }

    func checkEntries(_ count: Int) throws(APIError) {
        let limit = limits.maxEntriesPerQuery
        guard limit == 0 || count <= limit else {
            throw APIError(
                .badData,
                "max entries limit per query exceeded, limit > max_entries_limit_per_query "
                    + "(\(count) > \(limit))")
        }
    }

    /// - Parameters: times in nanoseconds.
    func checkLength(_ start: Int64, _ end: Int64) throws(APIError) {
        let limit = limits.maxQueryLengthSeconds
        let (length, overflow) = end.subtractingReportingOverflow(start)
        guard limit == 0 || (!overflow && Double(length) / 1e9 <= limit) else {
            throw APIError(
                .badData,
                "the query time range exceeds the limit (query length: "
                    + "\(durationText(millis: overflow ? .max / 1_000_000 : length / 1_000_000)), limit: "
                    + "\(durationText(millis: Int64(limit * 1000))))")
        }
    }

    func checkSelectors(_ expression: LogQLExpression) throws(APIError) {
        for selector in expression.selectors {
            let names = selector.matchers.map(\.name)
            let missing = limits.requiredLabels.filter { !names.contains($0) }
            guard missing.isEmpty else {
                throw APIError(
                    .badData,
                    "stream selector is missing required matchers "
                        + "[\(missing.joined(separator: ", "))], labels present in the query were "
                        + "[\(names.joined(separator: ", "))]")
            }
            guard names.count >= limits.requiredNumberLabels else {
                throw APIError(
                    .badData,
                    "stream selector has less label matchers than required: (present: "
                        + "[\(names.joined(separator: ", "))], number_present: \(names.count), "
                        + "required_number_label_matchers: \(limits.requiredNumberLabels))")
            }
        }
        guard limits.maxQueryRangeSeconds > 0, case .metric(let metric) = expression else { return }
        let longest = metric.longestRangeNanos
        guard Double(longest) / 1e9 <= limits.maxQueryRangeSeconds else {
            throw APIError(
                .badData,
                "[interval] value exceeds limit: [\(durationText(millis: longest / 1_000_000))] > "
                    + "[\(durationText(millis: Int64(limits.maxQueryRangeSeconds * 1000)))]")
        }
    }

    /// The reader, ending queries that read more than they may.
    func bounded(_ reader: any LogReading) -> any LogReading {
        limits.maxQueryBytesRead > 0
            ? BoundedLogs(reader: reader, limit: limits.maxQueryBytesRead) : reader
    }
}

extension LogTenantLimits {
    /// What a query may ask for that each of several tenants must allow; limits of what is sent are those
    /// of the first.
    static func strictest(_ all: [LogTenantLimits]) -> LogTenantLimits {
        guard var result = all.first else { return LogTenantLimits() }
        /// 0 is no limit.
        func narrow<Value: Numeric & Comparable>(_ limit: inout Value, _ other: Value) {
            if other > 0, limit == 0 || other < limit { limit = other }
        }
        for other in all.dropFirst() {
            narrow(&result.maxEntriesPerQuery, other.maxEntriesPerQuery)
            narrow(&result.maxQueryTextBytes, other.maxQueryTextBytes)
            narrow(&result.maxQueryLengthSeconds, other.maxQueryLengthSeconds)
            narrow(&result.maxQueryRangeSeconds, other.maxQueryRangeSeconds)
            narrow(&result.maxQueryBytesRead, other.maxQueryBytesRead)
            result.requiredLabels += other.requiredLabels
                .filter { !result.requiredLabels.contains($0) }
            result.requiredNumberLabels = max(
                result.requiredNumberLabels, other.requiredNumberLabels)
        }
        return result
    }
}

extension MetricExpression {
    /// The longest `[range]` of the query; 0 without one.
    fileprivate var longestRangeNanos: Int64 {
        switch self {
        case .range(let aggregation): aggregation.rangeNanos
        case .aggregation(_, _, _, let inner), .labelReplace(let inner, _):
            inner.longestRangeNanos
        case .binary(_, _, let left, let right):
            max(left.longestRangeNanos, right.longestRangeNanos)
        case .literal, .vector: 0
        }
    }
}

/// A reader that counts the bytes of the lines it hands over.
private final class BoundedLogs: LogReading {
    private let reader: any LogReading
    private let limit: Int
    private let bytes = Atomic<Int>(0)

    init(reader: any LogReading, limit: Int) {
        self.reader = reader
        self.limit = limit
    }

    func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws {
        try reader.read(request, context) { batch in
            let count = batch.lines.reduce(0) { $0 + Int($1.count) }
            let total = bytes.wrappingAdd(count, ordering: .relaxed).newValue
            guard total <= limit else {
                throw APIError(
                    .badData,
                    "the query would read too many bytes (query: \(binarySizeText(total)), limit: "
                        + "\(binarySizeText(limit))); consider adding more specific stream "
                        + "selectors or reduce the time range of the query")
            }
            return try body(batch)
        }
    }
    func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        try reader.streams(request, context)
    }
    func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] {
        try reader.labelNames(request, context)
    }
    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] {
        try reader.labelValues(name, request, context)
    }
    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch {
        try reader.rows(tenant: tenant, streamHash: streamHash, range: range, context)
    }
}

/// A size with a binary unit: `1.5 GiB`, `12 MiB`, `900 B`. Source: `humanize.IBytes` of Go.
func binarySizeText(_ bytes: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    guard bytes >= 10 else { return "\(bytes) B" }
    var (value, unit) = (Double(bytes), 0)
    while value >= 1024, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    let tenths = (value * 10 + 0.5).rounded(.down) / 10
    guard tenths < 10 else { return "\(Int(tenths)) \(units[unit])" }
    return "\(Int(tenths)).\(Int((tenths * 10).rounded()) % 10) \(units[unit])"
}
