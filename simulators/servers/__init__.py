"""The simulated plants on real wires: OPC UA, Modbus TCP and MQTT."""
