// SPDX-License-Identifier: Apache-2.0
// Why a batch was not taken.

/// A batch that could not be acknowledged. Nothing of it may be assumed stored.
package enum IngestError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Not now: disk full, failed sync, memory or shutdown. The client shall retry.
    case unavailable(reason: String, retryAfterSeconds: Int)
    /// More at once than there is room for.
    case overloaded(retryAfterSeconds: Int)

    package var description: String {
        switch self {
        case .unavailable(let reason, _): "cannot store data now: \(reason)"
        case .overloaded: "too many requests at once: retry later"
        }
    }
}

/// Items of a batch that were refused, with the reason of each kind.
package struct Refusals: Sendable, Equatable {
    /// Reason text and how many items it concerns, in order of first appearance.
    package private(set) var reasons: [(text: String, count: Int)] = []

    package init() {}

    package mutating func add(_ text: String, count: Int = 1) {
        if let index = reasons.firstIndex(where: { $0.text == text }) {
            reasons[index].count += count
        } else if reasons.count < 16 {
            reasons.append((text, count))
        } else {
            // Texts that name series could be many; the count stays right.
            reasons[15].count += count
        }
    }

    package var count: Int { reasons.reduce(0) { $0 + $1.count } }
    package var isEmpty: Bool { reasons.isEmpty }

    /// All reasons in one line, at most a few KiB.
    package var summary: String {
        let parts = reasons.map { $0.count > 1 ? "\($0.text) (\($0.count) times)" : $0.text }
        return String(parts.joined(separator: "; ").prefix(4096))
    }

    package static func == (a: Refusals, b: Refusals) -> Bool {
        a.reasons.elementsEqual(b.reasons) { $0.text == $1.text && $0.count == $1.count }
    }
}
