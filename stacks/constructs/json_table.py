"""A catalogue table over JSON lines, its columns from the contract."""

from aws_cdk import Aws
from aws_cdk import aws_glue as glue
from constructs import Construct

from lake.contracts import Contract
from lake.names import Names


class JsonTable(glue.CfnTable):
    """Crawlers own the Delta tables; a table of reports has a form that only the contract knows, so it is declared."""

    def __init__(self, scope: Construct, id: str, *, contract: Contract, names: Names) -> None:
        super().__init__(
            scope,
            id,
            catalog_id=Aws.ACCOUNT_ID,
            database_name=names.database(contract.layer),
            table_input=glue.CfnTable.TableInputProperty(
                name=contract.table,
                description=contract.description,
                table_type="EXTERNAL_TABLE",
                parameters={"classification": "json", "EXTERNAL": "TRUE"},
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=f"{contract.uri(names)}/",
                    columns=[
                        glue.CfnTable.ColumnProperty(name=c.name, type=c.type, comment=c.description[:255])
                        for c in contract.columns
                    ],
                    input_format="org.apache.hadoop.mapred.TextInputFormat",
                    output_format="org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(serialization_library="org.openx.data.jsonserde.JsonSerDe"),
                ),
            ),
        )
