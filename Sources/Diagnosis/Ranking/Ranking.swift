// SPDX-License-Identifier: Apache-2.0
// Which findings are causes, and how they count together.

import Telemetry

/// A service that may be the cause, or a place in it, with what speaks for that.
struct Candidate: Sendable {
    var service: Int32
    /// What ranks it.
    var strength: Double
    /// What its score is made of.
    var certainty: Double
    /// Strongest first; the first one says what is wrong.
    var findings: [Finding]
}

/// From findings to candidates.
///
/// 1. *Explaining away.* What a service does differently because one that it calls does is no fault
///    of its own: a finding loses as much as the spans that show it have spans below them, of other
///    services, that show a finding at least as strong.
///    Slow calls are such a reason too: callers give up.
/// 2. *Calls.* Time lost between client and server is shared out: when only the calls to one service
///    are slow it is that one's, when all calls of a service are it is the caller's.
/// 3. *Together.* Findings of one service are reasons that hold independently; those beyond the
///    first count by half, since they are often one thing seen twice.
struct Ranking {
    private let observations: Observations
    private var spans: SpanTable { observations.spans }

    init(_ observations: Observations) { self.observations = observations }

    /// How much each kind of finding is trusted to be the cause, rather than a change of traffic.
    /// Set once from what the kinds mean, not fitted: see docs/diagnosis.md.
    static func weight(_ kind: Finding.Kind) -> Double {
        switch kind {
        case .path, .errors: 1
        case .resource, .gap, .slow: 1
        case .errorLines: 0.8
        case .calls: 0.6
        case .version: 0.3
        }
    }

    func candidates(_ findings: [Finding]) -> [Candidate] {
        var weighted = findings.map { finding in
            var finding = finding
            finding.scale(by: Ranking.weight(finding.kind))
            return finding
        }
        weighted = sharedOut(weighted)
        weighted = explainedAway(weighted)
        var byService: [Int32: [Finding]] = [:]
        for finding in weighted where finding.strength > 0.02 {
            byService[finding.service, default: []].append(finding)
        }
        return byService.map { service, all in
            let sorted = all.sorted(by: precedes)
            return Candidate(
                service: service, strength: Ranking.together(sorted, \.strength),
                certainty: Ranking.together(
                    all.sorted { $0.certainty > $1.certainty }, \.certainty),
                findings: sorted)
        }
        .sorted { a, b in
            a.strength == b.strength
                ? observations.services[a.service] < observations.services[b.service]
                : a.strength > b.strength
        }
    }

    private func precedes(_ a: Finding, _ b: Finding) -> Bool {
        if a.strength != b.strength { return a.strength > b.strength }
        return describe(a) < describe(b)
    }

    /// For a stable order.
    private func describe(_ finding: Finding) -> String {
        (finding.operation.map { spans.operationNames[$0] } ?? "") + "\(finding.kind)"
    }

    private static func together(
        _ sorted: [Finding], _ value: (Finding) -> Double
    ) -> Double {
        var score = 0.0
        var seen: Set<String> = []
        for finding in sorted {
            // One of each kind: ten operations of one slow service are one reason.
            guard seen.insert(finding.group).inserted else { continue }
            score = either(score, score == 0 ? value(finding) : value(finding) * 0.5)
        }
        return score
    }

    // MARK: - Explaining away

    private func explainedAway(_ findings: [Finding]) -> [Finding] {
        // By row, the strongest finding of another service below the span.
        var below: [Int32: Double] = [:]
        for finding in findings where finding.strength >= 0.1 {
            for row in finding.rows {
                // A gap was seen at the caller, whose span is above it already.
                var parent =
                    spans.services[Int(row)] == finding.service ? spans.parents[Int(row)] : row
                var steps = 0
                while parent >= 0, steps < 256 {
                    if spans.services[Int(parent)] != finding.service {
                        below[parent] = max(below[parent] ?? 0, finding.strength)
                    }
                    parent = spans.parents[Int(parent)]
                    steps += 1
                }
            }
        }
        return findings.map { finding in
            guard finding.isBehaviour, !finding.rows.isEmpty, finding.strength > 0 else {
                return finding
            }
            let explained =
                finding.rows.reduce(0) {
                    $0 + min(1, (below[$1] ?? 0) / finding.strength)
                } / Double(finding.rows.count)
            var result = finding
            result.scale(by: 1 - 0.9 * explained)
            return result
        }
    }

    // MARK: - Calls

    private struct Edge: Hashable {
        var caller: Int32
        var callee: Int32
    }

    private func sharedOut(_ findings: [Finding]) -> [Finding] {
        // Calls of each pair in the window, and how strong their gap is.
        var calls: [Edge: Int] = [:]
        for row in 0..<spans.count where spans.stretches[row] == .window && spans.peers[row] >= 0 {
            calls[Edge(caller: spans.services[row], callee: spans.peers[row]), default: 0] += 1
        }
        var gaps: [Edge: Double] = [:]
        for finding in findings {
            guard case .gap = finding.kind, let peer = finding.peer else { continue }
            let edge = Edge(caller: finding.service, callee: peer)
            gaps[edge] = max(gaps[edge] ?? 0, finding.strength)
        }
        /// Mean strength of other calls of the caller, or to the callee; nil without any.
        func others(_ edge: Edge, ofCaller: Bool) -> Double? {
            let others = calls.filter {
                $0.key != edge
                    && (ofCaller ? $0.key.caller == edge.caller : $0.key.callee == edge.callee)
                    && $0.value >= 2
            }
            if others.isEmpty { return nil }
            return others.reduce(0) { $0 + (gaps[$1.key] ?? 0) } / Double(others.count)
        }
        return findings.flatMap { finding -> [Finding] in
            guard case .gap = finding.kind, let peer = finding.peer, finding.strength > 0 else {
                return [finding]
            }
            let edge = Edge(caller: finding.service, callee: peer)
            let fromCaller = others(edge, ofCaller: true).map { min(1, $0 / finding.strength) }
            let intoCallee = others(edge, ofCaller: false).map { min(1, $0 / finding.strength) }
            // Of one call alone it cannot be told; what is behind it is likelier.
            let caller = (fromCaller ?? 0.6) * (1 - 0.5 * (intoCallee ?? 0.5))
            let callee = (1 - (fromCaller ?? 0.1)) * (0.75 + 0.25 * (intoCallee ?? 0.8))
            var ofCaller = finding, ofCallee = finding
            ofCaller.strength *= caller
            ofCallee.service = peer
            ofCallee.peer = finding.service
            ofCallee.strength *= callee
            // That time is lost is as sure as before for the likelier of the two.
            ofCaller.certainty *= min(1, caller / max(callee, 1e-9))
            ofCallee.certainty *= min(1, callee / max(caller, 1e-9))
            return [ofCaller, ofCallee]
        }
    }
}

extension Finding {
    /// Whether it tells what a service does, so that what it calls may be the reason.
    var isBehaviour: Bool {
        switch kind {
        case .path, .errors, .errorLines, .calls: true
        case .slow, .gap, .resource, .version: false
        }
    }

    /// Findings of one group of a service count as one.
    var group: String {
        switch kind {
        case .path, .calls: "path"
        case .errors, .errorLines: "errors"
        case .slow, .gap: "time"
        case .resource: "resource"
        case .version: "version"
        }
    }
}
