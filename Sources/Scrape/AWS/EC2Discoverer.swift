// SPDX-License-Identifier: Apache-2.0
// Targets from EC2. Source: prometheus/prometheus `discovery/aws/ec2.go`; the EC2 API reference.

import Base
import Synchronization

final class EC2Discoverer: RefreshingDiscoverer {
    private let settings: EC2DiscoverySettings
    private let access: AWSAccess
    /// Ids of availability zones by name; asked for until they are known once.
    private let zones = Mutex<[String: String]?>(nil)
    /// Pages of a list that are read at most.
    private static let pageLimit = 10_000

    var refreshSeconds: Double { settings.refreshSeconds }

    init(_ settings: EC2DiscoverySettings, _ client: ClientOptions) {
        self.settings = settings
        access = AWSAccess(settings, client)
    }

    private func call(
        _ action: String, _ fields: [NamedText], _ environment: DiscoveryEnvironment
    ) async throws -> XMLTree {
        try await access.call(
            service: "ec2", endpoint: settings.endpoint,
            [NamedText("Action", action), NamedText("Version", "2016-11-15")] + fields,
            environment)
    }

    func refresh(_ delivery: DiscoveryDelivery) async throws -> [TargetGroup] {
        let environment = delivery.environment
        let region = try await access.region(environment)
        if zones.withLock({ $0 == nil }) { await findZones(delivery) }
        var fields: [NamedText] = []
        for (index, filter) in settings.filters.enumerated() {
            fields.append(NamedText("Filter.\(index + 1).Name", filter.name))
            for (place, value) in filter.values.enumerated() {
                fields.append(NamedText("Filter.\(index + 1).Value.\(place + 1)", value))
            }
        }
        var targets: [[NamedText]] = []
        var token = ""
        for _ in 0..<Self.pageLimit {
            let page = token.isEmpty ? [] : [NamedText("NextToken", token)]
            let answer: XMLTree
            do {
                answer = try await call("DescribeInstances", fields + page, environment)
            } catch let refusal as AWSRefusal {
                access.forget()
                throw DiscoveryError("could not describe instances: \(refusal)")
            }
            for reservation in answer["reservationSet"].items {
                let owner = reservation["ownerId"].text
                for instance in reservation["instancesSet"].items {
                    if let labels = labels(instance, owner, region) { targets.append(labels) }
                }
            }
            token = answer["nextToken"].text
            if token.isEmpty { break }
        }
        return [TargetGroup(source: region, targets: targets)]
    }

    /// The permission for this is often missing; the label stays away then.
    private func findZones(_ delivery: DiscoveryDelivery) async {
        do {
            let answer = try await call("DescribeAvailabilityZones", [], delivery.environment)
            var found: [String: String] = [:]
            for zone in answer["availabilityZoneInfo"].items {
                found[zone["zoneName"].text] = zone["zoneId"].text
            }
            let result = found
            zones.withLock { $0 = result }
        } catch { delivery.note("availability zones not described: \(error)") }
    }

    /// Labels of an instance; nil for one without an address.
    private func labels(
        _ instance: XMLTree, _ owner: String, _ region: String
    ) -> [NamedText]? {
        let six = IPv6Addresses(instance)
        let privateIP = instance["privateIpAddress"].nonEmpty
        guard let host = privateIP ?? six.byDefault else { return nil }
        var labels = [NamedText("__address__", hostPort(host, settings.port))]
        func add(_ name: String, _ value: String?) {
            if let value, !value.isEmpty { labels.append(NamedText("__meta_ec2_" + name, value)) }
        }
        // Separators at both ends spare relabelling the special cases.
        func list(_ values: [String]) -> String? {
            values.isEmpty ? nil : "," + values.joined(separator: ",") + ","
        }
        let zone = instance["placement"]["availabilityZone"].text
        add("instance_id", instance["instanceId"].text)
        add("region", region)
        add("owner_id", owner)
        add("default_ipv6_address", six.byDefault)
        add("private_ip", privateIP)
        add("private_dns_name", instance["privateDnsName"].text)
        add("platform", instance["platform"].text)
        if let publicIP = instance["ipAddress"].nonEmpty {
            add("public_ip", publicIP)
            add("public_dns_name", instance["dnsName"].text)
        }
        add("primary_ipv6_addresses", list(six.primary))
        add("ipv6_addresses", list(six.all))
        add("ami", instance["imageId"].text)
        add("availability_zone", zone)
        add("availability_zone_id", zones.withLock { $0?[zone] })
        add("instance_state", instance["instanceState"]["name"].text)
        add("instance_type", instance["instanceType"].text)
        add("instance_lifecycle", instance["instanceLifecycle"].text)
        add("architecture", instance["architecture"].text)
        if let vpc = instance["vpcId"].nonEmpty {
            add("vpc_id", vpc)
            add("primary_subnet_id", instance["subnetId"].text)
            var subnets: [String] = []
            for interface in instance["networkInterfaceSet"].items {
                if let subnet = interface["subnetId"].nonEmpty, !subnets.contains(subnet) {
                    subnets.append(subnet)
                }
            }
            add("subnet_id", "," + subnets.joined(separator: ",") + ",")
        }
        for tag in instance["tagSet"].items {
            add("tag_" + sanitizedLabelName(tag["key"].text), tag["value"].text)
        }
        return labels
    }
}

/// Addresses of an instance's interfaces in a VPC.
private struct IPv6Addresses {
    /// Primary ones at the place of their interface; gaps are empty.
    var primary: [String] = []
    var all: [String] = []

    var byDefault: String? { (primary + all).first { !$0.isEmpty } }

    init(_ instance: XMLTree) {
        guard instance["vpcId"].nonEmpty != nil else { return }
        for interface in instance["networkInterfaceSet"].items {
            guard interface["subnetId"].nonEmpty != nil else { continue }
            for address in interface["ipv6AddressesSet"].items {
                guard let text = address["ipv6Address"].nonEmpty else { continue }
                all.append(text)
                // An instance has far fewer interfaces.
                guard address["isPrimaryIpv6"].text == "true",
                    let place = Int(interface["attachment"]["deviceIndex"].text),
                    (0..<256).contains(place)
                else { continue }
                while primary.count <= place { primary.append("") }
                primary[place] = text
            }
        }
    }
}
