// SPDX-License-Identifier: Apache-2.0
// All discoveries of a server.

import Base
import Synchronization

/// Runs discoveries and hands on what they find, set by set. A set is whatever wants targets: a
/// scrape job or an Alertmanager section, by name. Equal entries of several sets are one discovery.
///
/// Changes are gathered: the first one is handed on soon, further ones at growing distances of up
/// to five seconds. A set whose entries changed is held back until each of its new discoveries has
/// delivered or failed, at most five seconds, so that a reload does not make targets come and go.
///
/// Source of the behaviour: prometheus/prometheus `discovery/manager.go`.
package final class Discovery: Sendable {
    private struct Provider: Sendable {
        var number: Int
        var task: Task<Void, Never>?
        var sets: Set<String>
        var groups: [String: TargetGroup] = [:]
        /// Whether it has delivered, or said that it cannot.
        var hasReported = false
    }

    private struct State: Sendable {
        var providers: [DiscoveryConfiguration: Provider] = [:]
        var entries: [String: Set<DiscoveryConfiguration>] = [:]
        /// Sets with changes that are not handed on yet.
        var dirty: Set<String> = []
        /// Until when (monotonic time) a set waits for its new discoveries.
        var heldUntilNanos: [String: Int64] = [:]
        var isPumping = false
        var delaySeconds = Discovery.firstDelaySeconds
        var lastSentNanos: Int64?
        var nextNumber = 0
        var isShutDown = false
        var pump: Task<Void, Never>?
    }

    private static let firstDelaySeconds = 0.1
    private static let longestDelaySeconds = 5.0

    package let environment: DiscoveryEnvironment
    private let name: String
    private let onChange: @Sendable (_ set: String, _ groups: [TargetGroup]) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - name: value of the label `name` in the metrics: `scrape` or `notify`.
    ///   - onChange: receives all groups of a set; called one at a time.
    package init(
        _ environment: DiscoveryEnvironment, name: String,
        onChange: @escaping @Sendable (_ set: String, _ groups: [TargetGroup]) -> Void
    ) {
        self.environment = environment
        self.name = name
        self.onChange = onChange
    }

    // MARK: configuration

    /// Starts, keeps and stops discoveries so that they are those of the sets. One whose settings
    /// are unchanged does not notice.
    package func apply(_ sets: [String: [DiscoveryConfiguration]]) {
        let now = environment.clock.monotonicNanos
        let stopped = state.withLock { state -> [Provider] in
            guard !state.isShutDown else { return [] }
            let before = state.entries
            state.entries = sets.mapValues { Set($0) }
            let wanted = state.entries.values.reduce(into: Set()) { $0.formUnion($1) }
            var stopped: [Provider] = []
            for (entry, provider) in state.providers where !wanted.contains(entry) {
                stopped.append(provider)
                state.providers[entry] = nil
            }
            for entry in wanted {
                let users = Set(state.entries.filter { $0.value.contains(entry) }.keys)
                if state.providers[entry] == nil { start(entry, users, &state) }
                state.providers[entry]?.sets = users
            }
            for (set, entries) in state.entries where before[set] != entries {
                state.dirty.insert(set)
                state.heldUntilNanos[set] = now &+ Int64(Self.longestDelaySeconds * 1e9)
            }
            for set in before.keys where state.entries[set] == nil {
                state.dirty.remove(set)
                state.heldUntilNanos[set] = nil
                let labels = setLabels(set)
                environment.metrics.remove(.discoveredTargets, labels)
                environment.metrics.remove(.lastUpdate, labels)
            }
            wake(&state)
            return stopped
        }
        for provider in stopped { provider.task?.cancel() }
    }

    private func start(
        _ entry: DiscoveryConfiguration, _ users: Set<String>, _ state: inout State
    ) {
        let number = state.nextNumber
        state.nextNumber += 1
        let delivery = DiscoveryDelivery(
            environment: environment, kind: entry.kind, set: users.min() ?? "",
            replace: { self.deliver(entry, number, $0, replacesAll: true) },
            update: { self.deliver(entry, number, $0, replacesAll: false) },
            fail: { self.reported(entry, number) })
        var provider = Provider(number: number, sets: users)
        let discoverer = makeDiscoverer(entry)
        provider.task = Task { await discoverer.run(delivery) }
        state.providers[entry] = provider
    }

    /// Ends all discoveries.
    package func shutDown() async {
        let tasks = state.withLock { state in
            state.isShutDown = true
            let tasks = state.providers.values.compactMap(\.task) + [state.pump].compactMap { $0 }
            state.providers = [:]
            state.dirty = []
            return tasks
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    // MARK: what discoveries say

    private func deliver(
        _ entry: DiscoveryConfiguration, _ number: Int, _ groups: [TargetGroup], replacesAll: Bool
    ) {
        environment.metrics.add(.receivedUpdates, [NamedText("name", name)])
        state.withLock { state in
            guard var provider = state.providers[entry], provider.number == number else { return }
            state.providers[entry] = nil
            var fresh = replacesAll ? [:] : provider.groups
            if replacesAll { fresh.reserveCapacity(groups.count) }
            for group in groups { fresh[group.source] = group.targets.isEmpty ? nil : group }
            let isChanged = !provider.hasReported || fresh != provider.groups
            provider.groups = fresh
            provider.hasReported = true
            state.providers[entry] = provider
            guard isChanged else { return }
            state.dirty.formUnion(provider.sets)
            wake(&state)
        }
    }

    private func reported(_ entry: DiscoveryConfiguration, _ number: Int) {
        state.withLock { state in
            guard state.providers[entry]?.number == number else { return }
            state.providers[entry]?.hasReported = true
        }
    }

    // MARK: handing on

    private func wake(_ state: inout State) {
        guard !state.isPumping, !state.dirty.isEmpty, !state.isShutDown else { return }
        state.isPumping = true
        state.pump = Task { await pump() }
    }

    /// Hands on changes until there are none.
    private func pump() async {
        let clock = environment.clock
        while let delay = nextDelay() {
            do { try await clock.sleep(seconds: delay) } catch { return }
            for (set, groups) in takeDue() {
                environment.metrics.add(.sentUpdates, [NamedText("name", name)])
                let labels = setLabels(set)
                let count = groups.reduce(0) { $0 + $1.targets.count }
                environment.metrics.set(.discoveredTargets, labels, Double(count))
                environment.metrics.set(
                    .lastUpdate, labels, Double(clock.wallNanos) / 1e9)
                onChange(set, groups)
            }
        }
    }

    /// Seconds to gather further changes; nil when there is nothing to hand on.
    private func nextDelay() -> Double? {
        let now = environment.clock.monotonicNanos
        return state.withLock { state in
            guard !state.dirty.isEmpty, !state.isShutDown else {
                state.isPumping = false
                return nil
            }
            let longest = Self.longestDelaySeconds
            let isQuiet = state.lastSentNanos.map { now &- $0 > Int64(longest * 1e9) } ?? true
            let delay = isQuiet ? Self.firstDelaySeconds : state.delaySeconds
            state.delaySeconds = min(delay * 1.5, longest)
            return delay
        }
    }

    private func takeDue() -> [(String, [TargetGroup])] {
        let now = environment.clock.monotonicNanos
        return state.withLock { state in
            var due: [(String, [TargetGroup])] = []
            for set in state.dirty.sorted() {
                let entries = state.entries[set] ?? []
                let providers = entries.compactMap { state.providers[$0] }
                if let until = state.heldUntilNanos[set] {
                    guard now >= until || providers.allSatisfy(\.hasReported) else { continue }
                    state.heldUntilNanos[set] = nil
                }
                state.dirty.remove(set)
                due.append((set, providers.sorted { $0.number < $1.number }.flatMap(sorted)))
            }
            if !due.isEmpty { state.lastSentNanos = now }
            return due
        }
    }

    private func sorted(_ provider: Provider) -> [TargetGroup] {
        provider.groups.values.sorted { $0.source < $1.source }
    }

    private func setLabels(_ set: String) -> [NamedText] {
        [NamedText("name", name), NamedText("config", set)]
    }
}

private func makeDiscoverer(_ configuration: DiscoveryConfiguration) -> any Discoverer {
    let client = configuration.client
    switch configuration.settings {
    case .file(let settings): return FileDiscoverer(settings)
    case .http(let settings): return HTTPDiscoverer(settings, client)
    case .dns(let settings): return DNSDiscoverer(settings)
    case .kubernetes(let settings): return KubernetesDiscoverer(settings, client)
    case .consul(let settings): return ConsulDiscoverer(settings, client)
    case .docker(let settings): return DockerDiscoverer(settings, client)
    case .ec2(let settings): return EC2Discoverer(settings, client)
    }
}
