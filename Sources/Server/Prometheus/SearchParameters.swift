// SPDX-License-Identifier: Apache-2.0
// What a search may ask for.

import Base
import Telemetry

/// Parameters of `search/*`, checked in Prometheus' order and with its texts.
struct SearchParameters: Sendable {
    enum Order: Sendable { case ascending, descending, score }

    let range: MillisRange
    let selectors: [[LabelMatcher]]
    let filter: SearchFilter
    let order: Order
    let includeScore: Bool
    let limit: Int
    let batchSize: Int

    init(
        _ request: APIRequest, nowMillis: Int64, maxLimit: Int, maxTerms: Int
    ) throws(APIError) {
        func refuse(_ text: String) -> APIError { APIError(.badData, text) }
        let start = try request.searchMillis("start", default: nowMillis - 3_600_000)
        let end = try request.searchMillis("end", default: nowMillis)
        guard start <= end else {
            throw refuse("end timestamp must not be before start timestamp")
        }
        range = MillisRange(first: Millis(start), last: Millis(end))
        selectors = try request.selectors()
        let terms = request.parameters(named: "search[]")
        guard terms.count <= maxTerms else {
            throw refuse("too many search[] terms: got \(terms.count), maximum is \(maxTerms)")
        }
        var threshold = 0
        if let text = request.nonEmpty("fuzz_threshold") {
            guard let number = Int(text), (0...100).contains(number) else {
                throw refuse("invalid fuzz_threshold \(quotedText(text)): must be 0-100")
            }
            threshold = number
        }
        let name = request.nonEmpty("fuzz_alg") ?? "subsequence"
        guard let algorithm = SearchFilter.Algorithm(rawValue: name) else {
            throw refuse(
                "unsupported fuzz_alg \(quotedText(name)): must be one of [subsequence jarowinkler]"
            )
        }
        filter = SearchFilter(
            terms, algorithm, threshold: Double(threshold) / 100,
            caseSensitive: try request.flag("case_sensitive", default: true))
        includeScore = try request.flag("include_score", default: false)
        order = try SearchParameters.order(request, hasTerms: !terms.isEmpty)
        var limit = 100
        if let text = request.nonEmpty("limit") {
            guard let number = Int(text), number > 0 else {
                throw refuse("invalid limit \(quotedText(text)): must be a positive integer")
            }
            guard number <= maxLimit else {
                throw refuse("limit \(number) exceeds the configured maximum (\(maxLimit))")
            }
            limit = number
        }
        self.limit = limit
        var batch = 100
        if let text = request.nonEmpty("batch_size") {
            guard let number = Int(text), number > 0 else {
                throw refuse("invalid batch_size \(quotedText(text)): must be a positive integer")
            }
            batch = number
        }
        batchSize = batch
    }

    private static func order(
        _ request: APIRequest, hasTerms: Bool
    ) throws(APIError) -> Order {
        let by = request.parameter("sort_by") ?? ""
        let direction = request.parameter("sort_dir") ?? ""
        let fault: String? =
            if !direction.isEmpty, by.isEmpty {
                "sort_dir is only valid when sort_by is set"
            } else if !direction.isEmpty, by == "score" {
                "sort_dir is not supported for sort_by=score"
            } else if !["", "asc", "dsc"].contains(direction) {
                "invalid sort_dir \(quotedText(direction)): must be \"asc\" or \"dsc\""
            } else if by == "score", !hasTerms {
                "sort_by=score requires search[] to be set"
            } else if !["", "alpha", "score"].contains(by) {
                "invalid sort_by \(quotedText(by)): must be \"alpha\" or \"score\""
            } else {
                nil
            }
        if let fault { throw APIError(.badData, fault) }
        return by == "score" ? .score : direction == "dsc" ? .descending : .ascending
    }

    /// Whether one result comes before another.
    func precedes(_ a: (name: String, score: Double), _ b: (name: String, score: Double)) -> Bool {
        if order == .score, a.score != b.score { return a.score > b.score }
        let ascends = a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
        return order == .descending ? !ascends && a.name != b.name : ascends
    }
}

extension APIRequest {
    /// A boolean parameter as Go writes them.
    func flag(_ name: String, default standard: Bool) throws(APIError) -> Bool {
        guard let text = nonEmpty(name) else { return standard }
        if let value = goBoolean(text) { return value }
        throw APIError(.badData, "invalid \(name) \(quotedText(text)): must be boolean")
    }

    fileprivate func searchMillis(
        _ name: String, default standard: Int64
    ) throws(APIError) -> Int64 {
        guard let text = nonEmpty(name) else { return standard }
        do throws(TimeTextError) {
            return try parseTimeMillis(text)
        } catch {
            throw APIError(.badData, "invalid time value for '\(name)': \(error)")
        }
    }
}
