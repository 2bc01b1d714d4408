// SPDX-License-Identifier: Apache-2.0
// All groups of a server.

import Base
import PromQL
import Synchronization
import Telemetry

/// Brings the groups that run in line with each new configuration.
package final class Ruler: Sendable {
    private struct State: Sendable {
        var groups: [RuleGroup] = []
        /// Of groups that are gone: their series wait for their markers.
        var leaving: [UInt64: (group: RuleGroup, markers: Task<Void, Never>)] = [:]
        var nextLeaving: UInt64 = 0
        var hasStarted = false
        var isShutDown = false
    }

    private let state = Mutex(State())
    private let parser: ParserOptions

    package init(parser: ParserOptions = ParserOptions()) { self.parser = parser }

    /// Starts, keeps and stops groups so that they are the given ones.
    ///
    /// A group whose definition and surroundings are unchanged goes on. One that changed gets a
    /// successor, which takes up its alerts and series; one that is gone is marked stale two
    /// intervals later. The groups of the first call take up `for` from an earlier process.
    package func apply(_ definitions: [RuleGroupDefinition], _ environment: RuleEnvironment) {
        state.withLock { state in
            guard !state.isShutDown else { return }
            var old: [String: RuleGroup] = [:]
            for group in state.groups { old[group.definition.key] = group }
            var groups: [RuleGroup] = []
            var fresh: [(group: RuleGroup, predecessor: RuleGroup?)] = []
            for definition in definitions {
                // What a group wrote for another tenant is not its successor's to go on with.
                let before =
                    old[definition.key]?.definition.tenant == definition.tenant
                    ? old.removeValue(forKey: definition.key) : nil
                if let before, before.definition == definition,
                    before.environment.isSame(environment)
                {
                    groups.append(before)
                    continue
                }
                before?.stop()
                let group = RuleGroup(
                    definition, environment, restores: !state.hasStarted, parser: parser)
                let returning =
                    before == nil
                    ? state.leaving.first { $0.value.group.definition.isSame(as: definition) }
                    : nil
                if let returning {
                    returning.value.markers.cancel()
                    state.leaving[returning.key] = nil
                }
                fresh.append((group, before ?? returning?.value.group))
                groups.append(group)
            }
            state.groups = groups
            state.hasStarted = true
            for gone in old.values { leave(gone, &state) }
            for (group, predecessor) in fresh { group.start(after: predecessor) }
        }
    }

    private func leave(_ group: RuleGroup, _ state: inout State) {
        group.stop()
        let number = state.nextLeaving
        state.nextLeaving += 1
        let markers = Task {
            await group.ended()
            let clock = group.environment.clock
            let seconds = 2 * Double(group.definition.intervalMillis) / 1000
            do { try await clock.sleep(seconds: seconds) } catch { return }
            let tenant = group.definition.tenant
            await group.markAll(atNanos: clock.wallNanos) { series in
                self.groups.contains { $0.definition.tenant == tenant && $0.isWriting(series) }
            }
            self.state.withLock { $0.leaving[number] = nil }
        }
        state.leaving[number] = (group, markers)
    }

    /// Ends all groups now; no markers are written, since the server will be back.
    package func shutDown() async {
        let (groups, leaving) = state.withLock { state in
            state.isShutDown = true
            return (state.groups, state.leaving.values.map(\.markers))
        }
        for task in leaving { task.cancel() }
        for group in groups { group.abort() }
        for group in groups { await group.ended() }
    }

    /// Groups by file, then name.
    package var groups: [RuleGroup] {
        state.withLock { $0.groups }.sorted {
            ($0.definition.file, $0.definition.name) < ($1.definition.file, $1.definition.name)
        }
    }
}

extension RuleGroupDefinition {
    /// Whether the other is a version of the same group.
    fileprivate func isSame(as other: RuleGroupDefinition) -> Bool {
        key == other.key && tenant == other.tenant
    }
}

extension RuleEnvironment {
    /// Whether groups of the other environment can go on under this one.
    fileprivate func isSame(_ other: RuleEnvironment) -> Bool {
        surroundings.externalLabels == other.surroundings.externalLabels
            && surroundings.externalURL == other.surroundings.externalURL
            && resendDelayMillis == other.resendDelayMillis
    }
}
