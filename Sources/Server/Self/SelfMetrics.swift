// SPDX-License-Identifier: Apache-2.0
// The server's own counters.

import Synchronization

/// A set of named counters that `/metrics` shows. A family with labels has one counter per label
/// set; label sets come from routes and reasons, never from data, so their number is bounded.
package final class SelfMetrics: Sendable {
    package enum Kind: String, Sendable { case counter, gauge }

    struct Family: Sendable {
        var help: String
        var kind: Kind
        var values: [String: Double] = [:]
    }
    private let families = Mutex<[String: Family]>([:])

    package init() {}

    /// Declares a family, so that it is shown with its help before its first value.
    package func declare(_ name: String, _ kind: Kind, _ help: String) {
        families.withLock { families in
            if families[name] == nil { families[name] = Family(help: help, kind: kind) }
        }
    }

    /// Adds to a counter. `labels` is in exposition form: `route="/api",code="200"`.
    package func add(_ name: String, _ labels: String = "", _ amount: Double = 1) {
        families.withLock { $0[name]?.values[labels, default: 0] += amount }
    }

    /// Sets a gauge, or a counter that somebody else counts.
    package func set(_ name: String, _ labels: String = "", _ value: Double) {
        families.withLock { $0[name]?.values[labels] = value }
    }

    package func value(_ name: String, _ labels: String = "") -> Double {
        families.withLock { $0[name]?.values[labels] ?? 0 }
    }

    /// Text exposition 0.0.4 of everything, sorted.
    package func exposition() -> [UInt8] {
        let snapshot = families.withLock { $0 }
        var out: [UInt8] = []
        func line(_ text: String) {
            out.append(contentsOf: text.utf8)
            out.append(UInt8(ascii: "\n"))
        }
        for (name, family) in snapshot.sorted(by: { $0.key < $1.key }) {
            line("# HELP \(name) \(family.help)")
            line("# TYPE \(name) \(family.kind.rawValue)")
            if family.values.isEmpty { line("\(name) 0") }
            for (labels, value) in family.values.sorted(by: { $0.key < $1.key }) {
                let text =
                    value == value.rounded() && abs(value) < 1e15
                    ? String(Int64(value)) : String(value)
                line(labels.isEmpty ? "\(name) \(text)" : "\(name){\(labels)} \(text)")
            }
        }
        return out
    }
}
