// SPDX-License-Identifier: Apache-2.0
// Targets from EC2, where keys come from, and the XML they come in.

import FoundationEssentials
import Synchronization
import TestKit
import Testing

@testable import Scrape

private let instances = """
    <?xml version="1.0" encoding="UTF-8"?>
    <DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
      <reservationSet><item><ownerId>123</ownerId><instancesSet>
        <item><instanceId>i-1</instanceId><imageId>ami-1</imageId>
          <instanceState><code>16</code><name>running</name></instanceState>
          <privateDnsName>ip-10.internal</privateDnsName><dnsName>ec2.example</dnsName>
          <instanceType>t3.micro</instanceType>
          <placement><availabilityZone>eu-west-2a</availabilityZone></placement>
          <subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>
          <privateIpAddress>10.0.0.1</privateIpAddress><ipAddress>1.2.3.4</ipAddress>
          <architecture>arm64</architecture>
          <networkInterfaceSet><item><subnetId>subnet-1</subnetId>
            <attachment><deviceIndex>1</deviceIndex></attachment>
            <ipv6AddressesSet>
              <item><ipv6Address>2001:db8::1</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item>
              <item><ipv6Address>2001:db8::2</ipv6Address></item>
            </ipv6AddressesSet></item></networkInterfaceSet>
          <tagSet><item><key>Name &amp; co</key><value>a&lt;b</value></item></tagSet>
        </item>
        <item><instanceId>i-2</instanceId></item>
      </instancesSet></item></reservationSet>%TOKEN%
    </DescribeInstancesResponse>
    """

private func start(
    _ bench: DiscoveryBench, _ change: (inout EC2DiscoverySettings) -> Void = { _ in }
) -> Discovery {
    bench.api.handle { request in
        let form = String(decoding: request.body, as: UTF8.self)
        if request.url.contains("/latest/api/token") { return json("TOKEN") }
        if request.url.hasSuffix("/placement/region") { return json("eu-west-2\n") }
        if request.url.hasSuffix("/security-credentials/") { return json("role") }
        if request.url.hasSuffix("/security-credentials/role") {
            return json(#"{"AccessKeyId":"IA","SecretAccessKey":"IS","Token":"IT"}"#)
        }
        if form.contains("Action=DescribeAvailabilityZones") {
            return json(
                """
                <R><availabilityZoneInfo><item><zoneName>eu-west-2a</zoneName>
                <zoneId>euw2-az2</zoneId></item></availabilityZoneInfo></R>
                """)
        }
        if form.contains("Action=AssumeRole&") {
            return json(
                """
                <AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>RA</AccessKeyId>
                <SecretAccessKey>RS</SecretAccessKey><SessionToken>RT</SessionToken>
                </Credentials></AssumeRoleResult></AssumeRoleResponse>
                """)
        }
        if form.contains("Action=DescribeInstances") {
            let isFirst = !form.contains("NextToken")
            return json(
                instances.replacing(
                    "%TOKEN%", with: isFirst ? "<nextToken>more</nextToken>" : ""))
        }
        return DiscoveryAnswer(status: 404)
    }
    var settings = EC2DiscoverySettings()
    change(&settings)
    let discovery = bench.discovery()
    discovery.apply(["job": [DiscoveryConfiguration(.ec2(settings))]])
    return discovery
}

@Test func instancesOfARegion() async {
    let bench = DiscoveryBench()
    let discovery = start(bench) {
        $0.region = "eu-west-2"
        $0.accessKey = "AK"
        $0.secretKey = "SK"
        $0.port = 9100
        $0.filters = [DiscoveryFilter(name: "tag:env", values: ["prod", "test"])]
    }
    // Two pages with the same instance.
    #expect(await bench.run { bench.addresses() == ["10.0.0.1:9100", "10.0.0.1:9100"] })
    #expect(
        labels(bench.last()?.first) == [
            "__address__": "10.0.0.1:9100", "__meta_ec2_ami": "ami-1",
            "__meta_ec2_architecture": "arm64", "__meta_ec2_availability_zone": "eu-west-2a",
            "__meta_ec2_availability_zone_id": "euw2-az2",
            "__meta_ec2_default_ipv6_address": "2001:db8::1", "__meta_ec2_instance_id": "i-1",
            "__meta_ec2_instance_state": "running", "__meta_ec2_instance_type": "t3.micro",
            "__meta_ec2_ipv6_addresses": ",2001:db8::1,2001:db8::2,",
            "__meta_ec2_owner_id": "123", "__meta_ec2_primary_ipv6_addresses": ",,2001:db8::1,",
            "__meta_ec2_primary_subnet_id": "subnet-1",
            "__meta_ec2_private_dns_name": "ip-10.internal", "__meta_ec2_private_ip": "10.0.0.1",
            "__meta_ec2_public_dns_name": "ec2.example", "__meta_ec2_public_ip": "1.2.3.4",
            "__meta_ec2_region": "eu-west-2", "__meta_ec2_subnet_id": ",subnet-1,",
            "__meta_ec2_tag_Name___co": "a<b", "__meta_ec2_vpc_id": "vpc-1",
        ])
    let request = bench.api.requests.first {
        String(decoding: $0.body, as: UTF8.self).contains("DescribeInstances")
    }
    #expect(request?.url == "https://ec2.eu-west-2.amazonaws.com/")
    #expect(
        String(decoding: request?.body ?? [], as: UTF8.self)
            == "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag%3Aenv"
            + "&Filter.1.Value.1=prod&Filter.1.Value.2=test")
    let header = request?.headers.first { $0.name == "authorization" }?.value ?? ""
    #expect(
        header.hasPrefix(
            "AWS4-HMAC-SHA256 Credential=AK/20270115/eu-west-2/ec2/aws4_request, "
                + "SignedHeaders=content-type;host;x-amz-date, Signature="))
    await discovery.shutDown()
}

@Test func keysAndRegionOfTheInstance() async {
    let bench = DiscoveryBench()
    let discovery = start(bench)
    #expect(await bench.run { bench.addresses()?.count == 2 })
    let last = bench.api.requests.last
    #expect(last?.headers.contains(NamedText("x-amz-security-token", "IT")) == true)
    #expect(last?.headers.first { $0.name == "authorization" }?.value.contains("IA/") == true)
    let metadata = bench.api.requests.filter { $0.url.contains("/latest/meta-data") }
    #expect(
        metadata.allSatisfy { $0.headers == [NamedText("X-aws-ec2-metadata-token", "TOKEN")] })
    await discovery.shutDown()
}

@Test func rolesAreAssumedWithTheKeysOfTheEnvironment() async {
    let bench = DiscoveryBench()
    bench.variables.withLock {
        $0["AWS_ACCESS_KEY_ID"] = "EA"
        $0["AWS_SECRET_ACCESS_KEY"] = "ES"
        $0["AWS_REGION"] = "cn-north-1"
    }
    let discovery = start(bench) {
        $0.roleARN = "arn:aws:iam::1:role/r"
        $0.externalID = "x"
    }
    #expect(await bench.run { bench.addresses()?.count == 2 })
    let first = bench.api.requests.first
    #expect(first?.url == "https://sts.cn-north-1.amazonaws.com.cn/")
    #expect(first?.headers.first { $0.name == "authorization" }?.value.contains("EA/") == true)
    #expect(
        bench.api.requests.last?.headers.contains(NamedText("x-amz-security-token", "RT")) == true)
    await discovery.shutDown()
}

@Test func profilesAreRead() async throws {
    try await withTemporaryDirectory { folder in
        try """
        [default]
        aws_access_key_id = D
        # comment
        [other]
        aws_access_key_id=O
        aws_secret_access_key = S
        """.write(toFile: folder + "/credentials", atomically: true, encoding: .utf8)
        let bench = DiscoveryBench()
        bench.variables.withLock {
            $0["AWS_SHARED_CREDENTIALS_FILE"] = folder + "/credentials"
        }
        let discovery = start(bench) {
            $0.profile = "other"
            $0.region = "eu-west-2"
        }
        #expect(await bench.run { bench.addresses()?.count == 2 })
        #expect(
            bench.api.requests.last?.headers.first { $0.name == "authorization" }?.value
                .contains("Credential=O/") == true)
        await discovery.shutDown()
    }
}

@Test func refusalsAreTold() async {
    let bench = DiscoveryBench()
    let discovery = start(bench) {
        $0.region = "r"
        $0.accessKey = "a"
        $0.secretKey = "b"
    }
    bench.api.handle { _ in
        DiscoveryAnswer(
            status: 401,
            body: Array(
                """
                <Response><Errors><Error><Code>AuthFailure</Code><Message>no</Message></Error>
                </Errors></Response>
                """.utf8))
    }
    #expect(
        await bench.run {
            bench.notes.withLock {
                $0.contains("targets not refreshed: could not describe instances: AuthFailure: no")
            }
        })
    await discovery.shutDown()
}

@Test(arguments: [
    "", "<", "<a>", "<a></b>", "</a>", "<a>&x;</a>", "<a>&amp</a>", "<!DOCTYPE a><a/>", "<a b='>",
    "<a><!-- </a>", "text", "<></>",
])
func brokenXML(text: String) {
    #expect(throws: DiscoveryError.self) { try XMLTree(Array(text.utf8)) }
}

@Test func xmlInAllItsForms() throws {
    let tree = try XMLTree(
        Array("<?x?><n:a q='>'> <!-- c --><b/><c>1&#65;&#x42;<![CDATA[<&]]></c></n:a>".utf8))
    #expect(tree.name == "a")
    #expect(tree.children.map(\.name) == ["b", "c"])
    #expect(tree["c"].text == "1AB<&")
    let deep = String(repeating: "<a>", count: 100)
    #expect(throws: DiscoveryError.self) { try XMLTree(Array(deep.utf8)) }
    // Damage is refused or read, and nothing else.
    var state: UInt64 = 3
    let seed = Array(instances.utf8)
    for _ in 0..<2000 {
        var bytes = seed
        for _ in 0..<4 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
        }
        _ = try? XMLTree(bytes)
    }
}
