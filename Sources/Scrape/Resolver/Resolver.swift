// SPDX-License-Identifier: Apache-2.0
// Asking name servers.

import Base

/// Looks names up. Source of the rules: prometheus/prometheus `discovery/dns/dns.go`.
struct Resolver: Sendable {
    let transport: any DNSTransport
    let configuration: ResolverConfiguration
    /// Makes ids; they only have to differ between questions under way.
    let id: @Sendable () -> UInt16

    /// Records of one type.
    ///
    /// Each candidate name is asked of each server in turn until one says yes or no. None when
    /// every candidate was denied; those that only some server failed on cannot be known.
    ///
    /// - Throws: when no candidate was found and at least one got no answer.
    func records(_ name: String, _ type: DNSRecordType) async throws -> [DNSRecord] {
        var isEachDenied = true
        var lastError = ""
        for candidate in configuration.candidates(name) {
            do {
                let answer = try await ask(candidate, type)
                if answer.code == 0 { return answer.records }
            } catch {
                try Task.checkCancellation()
                isEachDenied = false
                lastError = "\(error)"
            }
        }
        if isEachDenied { return [] }
        throw DiscoveryError(
            "could not resolve \(quotedText(name)): all servers responded with errors to at least "
                + "one search domain (\(lastError))")
    }

    private func ask(_ name: String, _ type: DNSRecordType) async throws -> DNSAnswer {
        var reason = "no server"
        for _ in 0..<configuration.attempts {
            for server in configuration.servers {
                do {
                    let answer = try await ask(server, name, type)
                    if answer.code == 0 || answer.code == 3 { return answer }
                    reason = "\(server.host) answered with code \(answer.code)"
                } catch {
                    try Task.checkCancellation()
                    reason = "\(server.host): \(error)"
                }
            }
        }
        throw DiscoveryError("no servers returned a viable answer for \(name): \(reason)")
    }

    private func ask(
        _ server: DNSServer, _ name: String, _ type: DNSRecordType
    ) async throws -> DNSAnswer {
        let message = try DNSMessage.question(
            id: id(), name: name, type: type, announcesSize: true)
        let answer = try DNSMessage.answer(
            try await transport.exchange(
                message, server: server, overTCP: false,
                timeoutSeconds: configuration.timeoutSeconds), to: message)
        guard answer.isTruncated else { return answer }
        let again = try DNSMessage.question(
            id: id(), name: name, type: type, announcesSize: false)
        let whole = try DNSMessage.answer(
            try await transport.exchange(
                again, server: server, overTCP: true, timeoutSeconds: configuration.timeoutSeconds),
            to: again)
        if whole.isTruncated { throw DiscoveryError("the answer over TCP is cut off as well") }
        return whole
    }
}
