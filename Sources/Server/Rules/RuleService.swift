// SPDX-License-Identifier: Apache-2.0
// The rules in force, and where their alerts go.

import Base
import Correlation
import Logging
import PromQL
import Rules
import Scrape
import Synchronization
import Telemetry

/// Evaluates the rules of the configuration and sends their alerts.
///
/// Starts when the data directory is open and the first configuration is applied; each reload
/// changes groups and Alertmanagers together.
final class RuleService: Sendable {
    private struct State: Sendable {
        var queries: QueryService?
        var sink: (any RuleSink)?
        var discovery: Discovery?
        var alerting = AlertingSettings()
        var externalLabels: [RuleText] = []
        /// By name of the set.
        var discovered: [String: [TargetGroup]] = [:]
        var isEnded = false
        /// Groups of the configuration, and what rules are evaluated with.
        var configured: [RuleGroupDefinition] = []
        var environment: RuleEnvironment?
        var groupOptions = RuleFileOptions()
        var stored: StoredRules?
        var diagnoser: AlertDiagnoser?
    }

    let ruler: Ruler
    let notifier: AlertNotifier
    let durations = RuleDurations()
    private let options: RuleOptions
    let clock: any Clock
    private let logger: Logger
    private let slots: EvaluationSlots
    private let http: OutgoingHTTP
    private let parser: ParserOptions
    private let state = Mutex(State())
    /// The newest groups are applied last.
    private let applying = Mutex(())
    /// Seconds that the queues of alerts have at the end.
    private static let drainSeconds = 3.0

    init(_ options: ServerOptions, _ logger: Logger, _ clock: any Clock) {
        self.options = options.rules
        parser = options.features.parser
        self.clock = clock
        self.logger = logger
        http = OutgoingHTTP(clock: clock)
        ruler = Ruler(parser: options.features.parser)
        notifier = AlertNotifier(capacity: options.rules.queueCapacity, clock: clock) {
            logger.error("\($0)")
        }
        slots = EvaluationSlots(options.rules.concurrentEvaluations)
    }

    /// The data directory is open.
    ///
    /// - Parameters:
    ///   - stored: groups that came over the API.
    ///   - correlation: what alerts are diagnosed with; nil = they are not.
    func open(
        _ queries: QueryService, _ sink: any RuleSink, _ stored: StoredRules,
        correlation: Correlation? = nil
    ) {
        let logger = self.logger
        let diagnoser = correlation.map { index in
            AlertDiagnoser(queries, index) { logger.warning("\($0)") }
        }
        if let fault = stored.fault { logger.error("posted rules cannot be read: \(fault)") }
        state.withLock { state in
            state.queries = queries
            state.sink = sink
            state.stored = stored
            state.diagnoser = diagnoser
        }
    }

    /// Alerts whose diagnosis came out so.
    func diagnoses(_ outcome: AlertDiagnoser.Outcome) -> Int {
        state.withLock { $0.diagnoser }?.count(outcome) ?? 0
    }

    /// Puts a configuration into force.
    ///
    /// - Parameters:
    ///   - address: where this server listens.
    ///   - discovering: what discovery of Alertmanagers uses of the world.
    func apply(
        _ configuration: Configuration, _ address: ListenAddress,
        _ discovering: DiscoveryEnvironment
    ) {
        let (queries, sink, diagnoser) = state.withLock { state in
            state.isEnded ? (nil, nil, nil) : (state.queries, state.sink, state.diagnoser)
        }
        guard let queries, let sink else { return }
        queries.setSubqueryStep(millis: configuration.evaluationMillis)
        let external = configuration.externalLabels.map { RuleText($0.name, $0.value) }
        applyAlerting(configuration.alerting, external, discovering)
        let logger = self.logger
        var environment = RuleEnvironment(
            queries: ServerRuleQueries(service: queries), sink: sink, clock: clock,
            receiver: notifier, slots: slots
        ) { logger.warning("\($0)") }
        environment.surroundings.externalLabels = external
        environment.surroundings.externalURL = externalURL(address)
        environment.durations = durations
        environment.diagnosing = diagnoser
        environment.resendDelayMillis = Int64(options.resendDelaySeconds * 1000)
        environment.outageToleranceMillis = Int64(options.outageToleranceSeconds * 1000)
        environment.gracePeriodMillis = Int64(options.gracePeriodSeconds * 1000)
        let ready = environment
        state.withLock { state in
            state.configured = configuration.ruleGroups
            if self.options.watches {
                state.configured.append(
                    WatchRules.group(tenant: configuration.global.scrape.tenant))
            }
            state.environment = ready
            state.groupOptions = configuration.ruleOptions(self.parser)
        }
        applyGroups()
    }

    // MARK: Posted groups

    func stored() throws(APIError) -> StoredRules {
        guard let stored = state.withLock({ $0.stored }) else {
            throw APIError(.unavailable, "rules are not ready yet", retryAfterSeconds: 1)
        }
        return stored
    }

    /// Stores a group and puts it into force.
    ///
    /// - Throws: `APIError` with all that is wrong with it.
    func post(_ text: String, namespace: String, tenant: Tenant) throws {
        let stored = try stored()
        let (options, configured) = state.withLock { ($0.groupOptions, $0.configured) }
        let group: RuleGroupDefinition
        do throws(RuleFileError) {
            group = try Self.group(text, namespace, tenant, options)
        } catch { throw APIError(.badData, error.faults.joined(separator: "; ")) }
        guard group.tenant == tenant else {
            throw APIError(.badData, "tenant of a posted group is that of the request")
        }
        if let other = configured.first(where: { $0.name == group.name && $0.tenant == tenant }) {
            throw APIError(
                .badData,
                "group \(quotedText(group.name)) is in the rule file \(other.file): a posted group "
                    + "needs another name")
        }
        try stored.put(
            StoredGroup(
                tenant: tenant.name, namespace: namespace, name: group.name, text: text))
        applyGroups()
    }

    /// - Parameter name: nil = all groups of the namespace.
    /// - Returns: whether there was any.
    func remove(namespace: String, name: String?, tenant: Tenant) throws -> Bool {
        let found = try stored().remove(tenant: tenant, namespace: namespace, name: name)
        if found { applyGroups() }
        return found
    }

    /// Expressions of posted groups are LogQL unless they say otherwise.
    private static func group(
        _ text: String, _ namespace: String, _ tenant: Tenant, _ options: RuleFileOptions
    ) throws(RuleFileError) -> RuleGroupDefinition {
        var options = options
        options.tenant = tenant
        options.language = .logql
        // Tenants may have namespaces of the same name.
        var group = try RuleFile.group(
            text, path: "posted/\(tenant.name)/\(namespace)", options)
        group.namespace = namespace
        return group
    }

    /// Has the ruler evaluate the groups of the configuration and those that were posted.
    private func applyGroups() { applying.withLock { _ in applyGroupsInTurn() } }

    private func applyGroupsInTurn() {
        let (configured, environment, options, stored) = state.withLock { state in
            (
                state.configured, state.isEnded ? nil : state.environment, state.groupOptions,
                state.stored
            )
        }
        guard let environment else { return }
        var groups = configured
        for one in stored?.groups ?? [] {
            do throws(RuleFileError) {
                let tenant = Tenant(one.tenant)
                let group = try Self.group(one.text, one.namespace, tenant, options)
                if let other = configured.first(where: {
                    $0.name == group.name && $0.tenant == tenant
                }) {
                    logger.error(
                        "posted group \(one.name) is not evaluated: \(other.file) has one of its name"
                    )
                    continue
                }
                groups.append(group)
            } catch {
                logger.error("posted group \(one.name) is not evaluated: \(error)")
            }
        }
        ruler.apply(groups, environment)
    }

    // MARK: Alertmanagers

    private static func name(ofSet index: Int) -> String { "config-\(index)" }

    private func applyAlerting(
        _ alerting: AlertingSettings, _ external: [RuleText], _ discovering: DiscoveryEnvironment
    ) {
        var sets: [String: [DiscoveryConfiguration]] = [:]
        for (index, entry) in alerting.alertmanagers.enumerated() where !entry.discoveries.isEmpty {
            sets[Self.name(ofSet: index)] = entry.discoveries
        }
        let discovery = state.withLock { state -> Discovery in
            state.alerting = alerting
            state.externalLabels = external
            state.discovered = state.discovered.filter { sets[$0.key] != nil }
            let discovery =
                state.discovery
                ?? Discovery(discovering, name: "notify") { [weak self] set, groups in
                    self?.discovered(set, groups)
                }
            state.discovery = discovery
            return discovery
        }
        refreshAlertmanagers()
        discovery.apply(sets)
    }

    private func discovered(_ set: String, _ groups: [TargetGroup]) {
        state.withLock { $0.discovered[set] = groups }
        refreshAlertmanagers()
    }

    private func refreshAlertmanagers() {
        // Inside the lock, so that the newest state is applied last.
        state.withLock { state in
            let sets = state.alerting.alertmanagers.enumerated().map { index, entry in
                entry.set(
                    AlertClient(http: http, settings: entry.client),
                    discovered: state.discovered[Self.name(ofSet: index)] ?? [])
            }
            notifier.apply(
                sets, relabelRules: state.alerting.relabelRules,
                externalLabels: state.externalLabels)
        }
    }

    /// The URL under which others reach this server, without a slash at its end.
    private func externalURL(_ address: ListenAddress) -> String {
        var url = options.externalURL ?? "http://\(localHostName):\(address.port)"
        while url.hasSuffix("/") { url.removeLast() }
        return url
    }

    /// Ends evaluation and empties the queues of alerts.
    func shutDown() async {
        let discovery = state.withLock { state in
            state.isEnded = true
            return state.discovery
        }
        await discovery?.shutDown()
        await ruler.shutDown()
        await notifier.shutDown(seconds: options.drainsQueueOnShutdown ? Self.drainSeconds : 0)
        await http.shutdown()
    }
}
