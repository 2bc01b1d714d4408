// SPDX-License-Identifier: Apache-2.0
// The targets of one job.

import Telemetry

/// One `scrape_config` and the loops of its targets.
struct ScrapePool: Sendable {
    /// What taking a configuration over did.
    struct Change {
        var fresh: [ScrapeLoop] = []
        var stopped: [ScrapeLoop] = []
        var errors: [String] = []
    }

    let configuration: ScrapeConfiguration
    /// What the job's discoveries found last.
    let discovered: [TargetGroup]
    /// As discovered last; a loop may have been started under other discovered labels.
    private(set) var targets: [Target] = []
    /// One per target.
    private(set) var loops: [ScrapeLoop] = []
    private(set) var dropped: [Labels] = []
    private(set) var droppedCount = 0

    var name: String { configuration.jobName }

    init(_ configuration: ScrapeConfiguration, discovered: [TargetGroup] = []) {
        self.configuration = configuration
        self.discovered = discovered
    }

    /// Makes the loops, those of the job's earlier state where they stay the same.
    mutating func adopt(_ old: ScrapePool?, _ environment: ScrapeEnvironment) -> Change {
        var change = Change()
        let list = makeTargets(configuration, groups: configuration.groups + discovered)
        change.errors = list.errors.map { "job \"\(name)\": \($0)" }
        droppedCount = list.dropped.count
        let kept = configuration.keepDroppedTargets
        dropped = kept == 0 ? list.dropped : Array(list.dropped.prefix(kept))

        var remaining: [Target.Identity: ScrapeLoop] = [:]
        for loop in old?.loops ?? [] { remaining[loop.target.identity] = loop }
        let isSameJob = old.map { $0.configuration.isSameBesidesTargets(configuration) } ?? false
        targets = list.active
        for target in list.active {
            if isSameJob, let loop = remaining.removeValue(forKey: target.identity) {
                loops.append(loop)
            } else {
                let loop = ScrapeLoop(configuration, target, environment)
                loops.append(loop)
                change.fresh.append(loop)
            }
        }
        change.stopped = Array(remaining.values)
        let limit = configuration.targetLimit
        let isOver = limit > 0 && loops.count > limit
        for loop in loops {
            loop.setForcedError(
                isOver
                    ? "target_limit exceeded (number of targets: \(loops.count), limit: \(limit))"
                    : nil)
        }
        return change
    }
}

extension ScrapeConfiguration {
    /// Whether loops of the other configuration can go on under this one.
    fileprivate func isSameBesidesTargets(_ other: ScrapeConfiguration) -> Bool {
        var a = self
        var b = other
        // Targets are compared one by one, after relabelling; the rest says nothing to a loop.
        a.groups = []
        b.groups = []
        a.discoveries = []
        b.discoveries = []
        a.relabelRules = []
        b.relabelRules = []
        a.targetLimit = 0
        b.targetLimit = 0
        a.keepDroppedTargets = 0
        b.keepDroppedTargets = 0
        return a == b
    }
}
