// SPDX-License-Identifier: Apache-2.0
// How well a name fits what somebody types.

import Base

/// Scores candidates against search terms. Source: prometheus/prometheus
/// `web/api/v1/search_filters.go`, `util/strutil/{subsequence,jarowinkler}.go`.
struct SearchFilter: Sendable {
    enum Algorithm: String, Sendable { case subsequence, jarowinkler }

    private let terms: [[Unicode.Scalar]]
    private let algorithm: Algorithm
    /// 0…1.
    private let threshold: Double
    private let caseSensitive: Bool

    init(_ terms: [String], _ algorithm: Algorithm, threshold: Double, caseSensitive: Bool) {
        self.terms = terms.filter { !$0.isEmpty }.map {
            Array((caseSensitive ? $0 : $0.lowercased()).unicodeScalars)
        }
        self.algorithm = algorithm
        self.threshold = threshold
        self.caseSensitive = caseSensitive
    }

    /// The best score of any term, 0…1; nil when none accepts the candidate.
    func score(_ candidate: String) -> Double? {
        if terms.isEmpty { return 1 }
        let text = Array((caseSensitive ? candidate : candidate.lowercased()).unicodeScalars)
        var best: Double?
        for term in terms {
            guard let score = score(term, text) else { continue }
            if score > best ?? -1 { best = score }
            if score >= 1 { break }
        }
        return best
    }

    private func score(_ term: [Unicode.Scalar], _ text: [Unicode.Scalar]) -> Double? {
        switch algorithm {
        case .subsequence:
            if text.starts(with: term) { return 1 }
            let score = subsequenceScore(term, text)
            return score > 0 && score >= threshold ? score : nil
        case .jarowinkler:
            if let score = substringScore(term, text) { return score }
            guard threshold > 0 else { return nil }
            let score = jaroWinkler(term, text)
            return score >= threshold ? score : nil
        }
    }
}

/// 1 for a prefix, down to 0.1 for the last place; nil when the term does not occur.
func substringScore(_ term: [Unicode.Scalar], _ text: [Unicode.Scalar]) -> Double? {
    if term.isEmpty { return 1 }
    let last = text.count - term.count
    guard last >= 0 else { return nil }
    for place in 0...last where text[place..<place + term.count].elementsEqual(term) {
        return place == 0 ? 1 : 1 - 0.9 * Double(place) / Double(last)
    }
    return nil
}

/// Rewards runs and punishes gaps; 0 when the term's characters do not occur in order.
func subsequenceScore(_ term: [Unicode.Scalar], _ text: [Unicode.Scalar]) -> Double {
    if term.isEmpty || term == text { return 1 }
    guard term.count <= text.count else { return 0 }
    var best = -1.0
    for start in 0...(text.count - term.count) where text[start] == term[0] {
        // When it does not fit from here it fits from no later place.
        guard let score = runScore(term, text, from: start) else { break }
        best = max(best, score)
    }
    if best < 0 { return 0 }
    // Only an exact match is 1.
    return best / Double(term.count * term.count) * 0.999
}

private func runScore(
    _ term: [Unicode.Scalar], _ text: [Unicode.Scalar], from start: Int
) -> Double? {
    let weight = 1 / Double(text.count)
    var score = 0.0
    var matched = 0
    var place = start
    var previousEnd = -1
    while place < text.count, matched < term.count {
        guard text[place] == term[matched] else {
            place += 1
            continue
        }
        let begin = place
        while place < text.count, matched < term.count, text[place] == term[matched] {
            matched += 1
            place += 1
        }
        score -= Double(begin - previousEnd - 1) * weight
        score += Double((place - begin) * (place - begin))
        previousEnd = place - 1
    }
    guard matched == term.count else { return nil }
    return score - Double(text.count - 1 - previousEnd) * weight * 0.5
}

/// Jaro-Winkler similarity, 0…1.
func jaroWinkler(_ first: [Unicode.Scalar], _ second: [Unicode.Scalar]) -> Double {
    if first == second { return 1 }
    if first.isEmpty || second.isEmpty { return 0 }
    let (short, long) = first.count <= second.count ? (first, second) : (second, first)
    let distance = max(long.count / 2 - 1, 0)
    var shortMatched = [Bool](repeating: false, count: short.count)
    var longMatched = shortMatched + [Bool](repeating: false, count: long.count - short.count)
    var matches = 0.0
    for i in short.indices {
        let begin = max(i - distance, 0), end = min(i + distance + 1, long.count)
        for j in begin..<max(begin, end) where !longMatched[j] && short[i] == long[j] {
            shortMatched[i] = true
            longMatched[j] = true
            matches += 1
            break
        }
    }
    if matches == 0 { return 0 }
    let pairs = zip(
        short.indices.filter { shortMatched[$0] }, long.indices.filter { longMatched[$0] })
    let transpositions = Double(pairs.filter { short[$0] != long[$1] }.count)
    let jaro =
        (matches / Double(short.count) + matches / Double(long.count)
            + (matches - transpositions / 2) / matches) / 3
    let prefix = zip(short.prefix(4), long.prefix(4)).prefix { $0 == $1 }.count
    return jaro + Double(prefix) * 0.1 * (1 - jaro)
}
